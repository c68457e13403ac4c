"""The theory of the paper, checked on its nets: proved, measured or violated."""
