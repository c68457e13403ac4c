"""The board's figures as SVG, one file a kind."""
