"""Public tables in files joined to the board of a folder of submissions."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from bench.board.build import build
from bench.board.join.join import Joined, choose, join
from bench.board.join.table import read_tables


def join_files(
    tables: str | Path | Sequence[str | Path],
    *,
    metric: str = "rfc",
    attack: str | None = None,
    dataset: str | None = None,
    protocol: str | None = None,
    key: str = "model",
    columns: Sequence[str] = (),
    carry: bool = True,
    submissions: str | Path = "submissions",
) -> list[Joined]:
    """Join public tables to the board; the arguments are those of `bench.join`.

    Returns:
        One for each table of the board (data set, protocol hash, input size).

    Raises:
        BenchError: a file is not such a table, or it names no model of the board.
    """
    paths = [tables] if isinstance(tables, str | Path) else tables
    external = read_tables([Path(path) for path in paths], key, columns)
    board = choose(build(Path(submissions)), dataset, protocol)
    return join(board, external, metric, attack, carry)
