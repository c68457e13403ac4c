"""Statistics: arrays in, numbers out. Knows no file and no model."""
