"""Where a training runs: here, on the work pool of the GPUs, or on a machine that fal rents out."""
