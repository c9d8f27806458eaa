"""Paired data: the type, its files, splits and noise."""
