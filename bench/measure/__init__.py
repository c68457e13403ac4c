"""A block of samples to rows: the only loop."""
