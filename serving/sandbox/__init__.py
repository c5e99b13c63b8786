"""A fal-compatible platform on 127.0.0.1, for development, demos and tests; the unmodified fal SDK, CLI and client use it."""
