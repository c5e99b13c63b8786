"""The app that travels whole to the runner: it imports nothing of the project but itself."""
