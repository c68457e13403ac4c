"""Nets of the registry to checkpoints."""
