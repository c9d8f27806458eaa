"""Bytes on disk: files written whole or not at all, arrays, tensors, MATLAB's files, pictures."""
