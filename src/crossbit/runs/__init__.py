"""A run's folder: its files and its checkpoint."""
