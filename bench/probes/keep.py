"""Put measured probes into the folder of submissions, in their compact form.

    python -m bench.probes.keep results/probes/fashionmnist/*.bands.parquet

writes `submissions/probes/<dataset>/<model>.<probe>.parquet`, which the board shows.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from bench.entries.probe_names import PROBES
from bench.errors import BenchError
from bench.results.filesystem import files_at
from bench.results.probes import compact, probe_address, read, write

DROPPED = ("entry", "preprocessing", "numerics")
"""Metadata that the registry has, or that say nothing of a probe."""


def keep(path: Path, submissions: Path = Path("submissions")) -> Path:
    """Write the compact form of a probe's file; return where.

    Raises:
        BenchError: it is no finished file of one of PROBES.
    """
    rows, metadata = read(path)
    name = metadata.get("probe_name")
    if name not in PROBES or metadata.get("complete") is not True:
        raise BenchError(
            f"expected a finished file of a probe ({', '.join(PROBES)}), found "
            f"{name or 'something else'}, in {path}; run `bench probe` again"
        )
    address = probe_address(str(metadata["dataset"]), str(metadata["model"]), str(name))
    known = {key: value for key, value in metadata.items() if key not in DROPPED}
    files = files_at(str(submissions))
    write(files, address, compact(rows), {**known, "compact": True})
    return submissions / address.file


def main(arguments: Sequence[str]) -> int:
    """Keep files that are named; return the exit code."""
    if not arguments:
        sys.stderr.write("bench: error: expected files of `bench probe`, got none; name some\n")
        return 2
    for argument in arguments:
        try:
            sys.stdout.write(f"{keep(Path(argument))}\n")
        except BenchError as error:
            sys.stderr.write(f"bench: error: {error}\n")
            return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
