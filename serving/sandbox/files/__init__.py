"""Files that deploys upload, and those that apps hand out."""
