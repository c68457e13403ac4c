"""Fourier heat maps: what each basis direction of a fixed norm does."""
