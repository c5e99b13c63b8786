"""A guard for child processes: its folder on PYTHONPATH, and every process writes down whom it calls that is not this machine."""
