"""From a manifest of pictures to an adapter bundle: one proven definition of what the denoiser sees, one loop, one judgement."""
