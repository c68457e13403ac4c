"""From what was asked to a finished file."""
