"""The Brendel-Bethge attack: settings, the walk, its trust region in each norm, its starts."""
