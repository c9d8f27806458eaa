"""Benches: methods x settings x bits x noise x seeds x data from one TOML recipe, resumable, with tables and plots."""
