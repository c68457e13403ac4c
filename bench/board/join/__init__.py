"""`bench join`: the board's numbers beside public ones, by model name, with rank correlations."""
