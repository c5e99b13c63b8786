"""A folder for PYTHONPATH: every Python process of a drill loads what is in here first."""
