"""The licence verdict of a job and of what is live, and its reports."""
