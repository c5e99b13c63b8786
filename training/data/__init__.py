"""From a folder of pictures to a manifest, and from a manifest to tensors."""
