"""May this base, with its parts and this dataset, be trained on and hosted for money? Evidence in, verdict out; unknown blocks."""
