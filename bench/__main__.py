"""`python -m bench`."""

from bench.cli.main import run

run()
