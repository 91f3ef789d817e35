"""What to ask, and how to ask it."""
