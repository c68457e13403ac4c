"""Min-l2 in annuli of the spectrum: which frequencies a boundary is near in."""
