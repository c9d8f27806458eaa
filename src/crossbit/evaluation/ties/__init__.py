"""Counts, orders, hits and gains under ties, exact."""
