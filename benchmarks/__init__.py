"""Measurements whose results stand in BENCHMARKS.md; `python -m benchmarks.ROOM.SCRIPT --help` says what each does."""
