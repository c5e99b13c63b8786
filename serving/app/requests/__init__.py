"""What a caller may ask for, and pictures that callers send: everything is bounded before anything is drawn."""
