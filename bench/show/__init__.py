"""One result at a glance: its numbers, its picture, its page."""
