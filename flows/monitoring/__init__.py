"""What the monitor looks at, how it judges it, and how it tells of it."""
