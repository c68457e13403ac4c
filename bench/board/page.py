"""The board as one self-contained page: data, style and scripts in a single file.

Table and plots are DataTables' and Observable Plot's, carried unaltered (assets/vendor/SOURCES.md).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import cache
from html import escape
from importlib import resources
from typing import Any

from bench.board import page_data
from bench.board.flags import MEANINGS
from bench.board.lead import lead
from bench.board.markdown import slug
from bench.board.page_columns import COLUMNS
from bench.board.shown import Shown
from bench.board.table import Board, Table

LIMIT = 2_000_000
"""Bytes of the page; plots that do not fit are left out, those of the last models first."""
SCRIPTS = ("vendor/datatables.min.js", "vendor/d3.min.js", "vendor/plot.min.js")
OWN = ("page.js", "plots.js", "pairs.js")
Figures = Mapping[str, Sequence[tuple[str, str]]]


def page(
    board: Board, shown: Mapping[str, Shown], figures: Figures, claims: Sequence[str] = ()
) -> str:
    """Return the page's HTML.

    Args:
        board: what to show.
        shown: table slug -> spectra of its models.
        figures: table slug -> (file, caption) of its figures.
        claims: the first paragraphs of the claims page, plain; empty without one.
    """
    shell = _shell(board, claims)
    data = board_data(board, shown, figures)
    room = LIMIT - len(shell.encode()) - len(json_text(data).encode())
    for table, found in zip(board.tables, data["tables"], strict=True):
        for row, model in zip(table.rows, found["models"], strict=True):
            plots = page_data.plots(row, table, shown.get(slug(table)))
            size = len(json_text(plots).encode())
            if size <= room:
                model |= plots
                room -= size
    return shell.replace("/*DATA*/", json_text(data), 1)


def _shell(board: Board, claims: Sequence[str]) -> str:
    """The page without its data; its words are in it, for readers without scripts too."""
    result = _frame()
    for mark, content in (
        ("<!--LEAD-->", escape(" ".join(lead(board.tables)))),
        ("<!--HIDDEN-->", "" if claims else " hidden"),
        ("<!--CLAIMS-->", "".join(f"<p>{escape(text)}</p>" for text in claims)),
        ("<!--COLUMNS-->", _list({column.title: column.help for column in COLUMNS})),
        ("<!--FLAGS-->", _list(MEANINGS)),
    ):
        result = result.replace(mark, content, 1)
    return result


def _list(items: Mapping[str, str]) -> str:
    return "".join(f"<dt>{escape(k)}</dt><dd>{escape(text)}</dd>" for k, text in items.items())


def board_data(board: Board, shown: Mapping[str, Shown], figures: Figures) -> dict[str, Any]:
    """Return everything that the page shows but for the models' plots."""
    tables = []
    for table in board.tables:
        name = slug(table)
        found = page_data.of_table(table, shown.get(name), figures.get(name, ()))
        tables.append({**found, "models": [_row(row, table) for row in table.rows]})
    return {"columns": page_data.columns(), "tables": tables}


def _row(row: Any, table: Table) -> dict[str, Any]:
    return {**page_data.of_row(row, table), "profiles": {}, "map": None, "samples": None}


def json_text(data: object) -> str:
    """Return JSON that stands safely inside <script>: nothing in it looks like a tag's end."""
    text = json.dumps(data, separators=(",", ":"), allow_nan=False)
    for sign in "<>&\u2028\u2029":  # JSON allows these escapes
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    return text


@cache
def _frame() -> str:
    """The page without its data."""
    result = _asset("page.html")
    for mark, names in (("/*STYLE*/", ("page.css",)), ("/*VENDOR*/", SCRIPTS), ("/*SCRIPT*/", OWN)):
        result = result.replace(mark, "\n".join(_asset(name) for name in names), 1)
    return result


def _asset(name: str) -> str:
    return (resources.files("bench.board") / "assets" / name).read_text(encoding="utf-8")
