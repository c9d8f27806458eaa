"""What a bench shows: tables, plots, times."""
