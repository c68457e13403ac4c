"""Probes: what a model, or its preprocessing, does to chosen frequencies."""
