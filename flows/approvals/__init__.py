"""A person's yes before a run goes on: when it is asked for, what they read, and how the answer comes back."""
