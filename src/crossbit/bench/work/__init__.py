"""Doing a bench's runs: one after the other, in processes, on a cluster; kept as they finish."""
