"""How a frozen model takes a fast step forward and backward; knows no attack."""
