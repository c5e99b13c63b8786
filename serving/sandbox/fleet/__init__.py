"""Runners: processes that serve revisions of apps, and who gets which."""
