"""Blocks of studies -> contrasts, verdicts and the claims page."""
