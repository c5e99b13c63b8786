"""What training, deploys and serving cost, and what that leaves."""
