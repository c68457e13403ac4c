"""Controlled studies: nets trained under chosen factors and seeds, measured along training."""
