"""Whether a live release is worth a training: what is looked at, what was found, and what was decided."""
