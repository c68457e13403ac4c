"""The board states native resolution and evaluation transform of every row."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import board_cases as cases
import pyarrow.parquet as pq
import pytest
from conftest import MODEL

import bench
from bench.board.build import build
from bench.board.csv_file import csv_text
from bench.board.markdown import further
from bench.board.page import page as html
from bench.entries.rules import rules
from bench.results.metadata import Metadata
from bench.results.read import Submission

pytestmark = pytest.mark.usefixtures("caro_ranks")

IMAGENET = {"input_size": [3, 224, 224], "interpolation": "bicubic", "crop_pct": 0.9}


@pytest.mark.parametrize(
    ("metadata", "text"),
    [
        ({"preprocessing": IMAGENET}, "resize 248 bicubic, crop 224"),
        ({"preprocessing": {**IMAGENET, "interpolation": "<script>"}}, None),
        ({"transform": "what a stranger says"}, None),
        ({}, None),
    ],
)
def test_imagenet_rows_state_what_their_settings_say(
    metadata: dict[str, Any], text: str | None
) -> None:
    stated = {**cases.metadata(cases.CASES[0]), **metadata}
    known = rules("caro2024", "imagenet")
    submission = Submission(Path("x.parquet"), Metadata.of(stated, "x"), known)
    assert submission.transform == text


def test_every_view_shows_the_input(tmp_path: Path) -> None:
    for case in cases.CASES[:2]:
        cases.write(tmp_path, case)
    board = build(tmp_path)
    table = board.tables[0]
    text = "\n".join(further(table, {}).values())
    shown = [line for line in text.splitlines() if "| native 28; none " in line]
    assert len(shown) == len(table.rows) == 2
    assert html(board, {}, {}).count('"input":["native 28; none"') == 2
    lines = list(csv.DictReader(csv_text(board).splitlines()))
    assert {(line["native_size"], line["transform"]) for line in lines} == {("28", "none")}


def test_a_result_says_it_in_words(quick: Path, tmp_path: Path) -> None:
    bench.evaluate(MODEL, protocol="quick", attacks=["pgd-l1"], limit=2, output=tmp_path)
    path = tmp_path / "partial" / "quick" / "fashionmnist" / f"{MODEL}.parquet"
    metadata = json.loads(pq.read_schema(path).metadata[b"bench"])
    assert (metadata["native_size"], metadata["transform"]) == (28, "none")
