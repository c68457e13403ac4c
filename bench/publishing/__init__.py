"""Numbers that travel: what other places read of the board, written from it."""
