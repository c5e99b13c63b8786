"""What runs leave behind, and what a person is told of it."""
