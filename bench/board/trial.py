"""Showing one model alone, for a trial: what breaks here would take the whole board down."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

from bench.board.csv_file import csv_text
from bench.board.markdown import further, index
from bench.board.markdown import page as markdown_page
from bench.board.page import board_data, json_text
from bench.board.table import Board, Row, Table

MAX_TEXT = 40_000
"""Characters that one model may add to a file of the board, without its spectra."""


def show_alone(table: Table) -> None:
    """Make every text of a table with one model, ranked and not, and throw it away.

    Raises:
        Exception: whatever the model's file leads to.
    """
    (row,) = table.rows
    ranked = replace(table, ranked=(Row(row.model, (1, 1), "a"),), unranked=())
    for one in (table, ranked):
        board = Board((one,), ())
        longest = max(
            len(csv_text(board).encode()),
            len(markdown_page("trial", [one], {}).encode()) - len(markdown_page("trial", [], {})),
            sum(len(text.encode()) for text in further(one, {}).values()),
            len(index(board).encode()) - len(index(Board((), ()))),
            len(json_text(board_data(board, {}, {})).encode()) - _empty(),
        )
        if longest > MAX_TEXT:
            raise ValueError(f"expected texts of at most {MAX_TEXT} characters, found {longest}")


@cache
def _empty() -> int:
    return len(json_text(board_data(Board((), ()), {}, {})).encode())
