"""Codes in files of anyone's: found by their arrays' names, turned upright."""
