"""Beside the published code"""
