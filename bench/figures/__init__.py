"""The one home of matplotlib: style, colours, and the drawings that several rooms share."""
