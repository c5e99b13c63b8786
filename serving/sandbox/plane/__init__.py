"""The control plane: what the SDK deploys and manages through, over gRPC and REST."""
