"""From an adapter bundle to a release: package, registry, platform, deploy, smoke test."""
