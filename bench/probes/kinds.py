"""Names of perturbations that probes hold side by side. No torch."""

ATTACK = "attack"
NOISES = ("white", "pink", "sign")
"""White noise; 1/f noise (amplitude 1/r, no DC); the sign of white noise."""
IMAGE = "image"
PERTURBATIONS = (ATTACK, *NOISES, IMAGE)
"""The perturbation of the protocol's primary attack, noise of its norm, and the clean image without
its mean, of its norm too."""
