"""Low- and high-passed images and perturbations."""
