"""Submissions: making them, checking them without running anything, measuring them again."""
