"""Engines: who runs units of work. `local` here; Ray and SLURM are handed them (extras)."""
