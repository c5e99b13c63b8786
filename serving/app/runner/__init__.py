"""A process that serves: how it starts and ends, what it says of itself, and the layers around every request."""
