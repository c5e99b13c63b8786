"""From prompts to pictures: the base as a diffusers pipeline with the adapter in it, and how requests share its calls."""
