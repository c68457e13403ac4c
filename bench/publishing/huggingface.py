"""Hugging Face: the benchmark's `eval.yaml`, and `.eval_results/*.yaml` for each ranked model.

Source: https://huggingface.co/docs/hub/eval-results (formats of both files).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from bench.board.markdown import slug
from bench.board.table import Board, Row, Table
from bench.board.text import NORMS, interval, ranks
from bench.publishing.facts import DESCRIPTION, SHORT


def tasks(board: Board) -> list[Table]:
    """Return the tables that rank: each is a task of the benchmark."""
    return [table for table in board.tables if table.ranks and table.ranked]


def benchmark(board: Board) -> dict[str, Any]:
    """Return `eval.yaml` of the data set that holds the submissions."""
    return {
        "name": SHORT,
        "description": DESCRIPTION,
        # a name of its own: Hugging Face's list of frameworks must have it before a push is valid
        "evaluation_framework": SHORT,
        "tasks": [
            {"id": slug(table), "config": table.rules.protocol.name, "split": "test"}
            for table in tasks(board)
        ],
    }


def results(board: Board, repository: str) -> dict[str, list[dict[str, Any]]]:
    """Return path -> entries of `models/<model>/.eval_results/frequency-bench.yaml`.

    Ranked models only: what fails a gate is no result to spread. The value is the mean RFC of these
    weights; the notes say n, interval, rank set and that the order is no ladder.

    Args:
        board: the numbers.
        repository: `owner/name` of the benchmark's data set.
    """
    found: dict[str, list[dict[str, Any]]] = {}
    for name, entry in _entries(board, repository):
        found.setdefault(f"models/{name}/.eval_results/{SHORT}.yaml", []).append(entry)
    return found


def _entries(board: Board, repository: str) -> Iterator[tuple[str, dict[str, Any]]]:
    for table in tasks(board):
        for row in table.ranked:
            yield row.name, _entry(row, table, repository)


def _entry(row: Row, table: Table, repository: str) -> dict[str, Any]:
    rules, meta = table.rules, row.model.submission.metadata
    found = row.model.attacks[rules.primary]
    notes = (
        f"RFC of {rules.primary} ({NORMS[rules.attacks[rules.primary].norm]}), 1 = Nyquist: "
        f"{interval(found.rfc, 4)}, 95 % interval over images, n = {found.kept}; rank set "
        f"{ranks(row.rank)} of {len(table.ranked)}. Lower is not more robust."
    )
    entry: dict[str, Any] = {
        "dataset": {"id": repository, "task_id": slug(table)},
        "value": round(found.rfc.mean, 6),
        "source": {
            "url": f"https://huggingface.co/datasets/{repository}/blob/main/{place(row)}",
            "name": f"{SHORT} {rules.protocol.name}",
        },
        "notes": notes,
    }
    if meta.ended:
        entry["date"] = meta.ended
    return entry


def place(row: Row) -> str:
    """Return where a row's own result lies in the data set."""
    rules = row.model.submission.rules
    return f"submissions/{rules.protocol.name}/{rules.dataset.name}/{row.model.name}.parquet"


def card(board: Board) -> str:
    """Return the data set's README.md: its configurations are the protocols."""
    configs = ""
    for name in sorted({table.rules.protocol.name for table in board.tables}):
        rows = [r for t in board.tables if t.rules.protocol.name == name for r in t.rows]
        # by name: side files have other columns
        files = sorted({place(row) for row in rows})
        lines = "".join(f"      - {file}\n" for file in files)
        configs += f"  - config_name: {name}\n    data_files:\n{lines}"
    return (
        f"---\nlicense: apache-2.0\nconfigs:\n{configs}---\n\n# {SHORT}\n\n{DESCRIPTION}\n\n"
        "One Parquet file a protocol, data set and model; a row is an attack on an image. "
        "`croissant.json` describes the columns.\n"
    )
