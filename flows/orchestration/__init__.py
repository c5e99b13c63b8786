"""Prefect's server and workers: what keeps them up, what they need, and what becomes of runs that were cut off."""
