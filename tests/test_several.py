"""Several models in one call: what can be measured is, and the others are named with what helps."""

from __future__ import annotations

import subprocess
import sys
import warnings
from pathlib import Path

import pandas as pd
import pytest
from conftest import MODEL
from torch import nn

import bench
from bench.cli.main import call
from bench.errors import BenchError, BenchWarning
from bench.run.call import Told
from bench.run.plan import Plan

DEEP = "fashionmnist-deep-full-conv-relu"
"""Without trained weights in a fresh clone."""
WRONG = "fashionmnist-locl-conv-relu"
"""No model at all, which the registry alone can tell."""
FEW = {"protocol": "quick", "attacks": "pgd-l1", "limit": 4, "submissions": None}


def test_what_cannot_be_measured_does_not_stop_the_others(
    quick: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["eval", "--protocol", "quick", "-a", "pgd-l1", "--limit", "4", "-o", str(tmp_path)]
    assert call([*command, "-m", DEEP, "-m", MODEL]) == 2
    out, err = capsys.readouterr()
    assert f"{MODEL} on FashionMNIST" in out
    lines = err.splitlines()
    assert any(x.startswith(f"not measured: {DEEP}: ") and "bench train" in x for x in lines)
    assert "expected 2 models measured, found 1 that could not be" in lines[-1]
    assert len(list(tmp_path.rglob("*.parquet"))) == 2, "rows and extras of one model"


def test_a_misspelt_name_stops_all_at_once_without_anything_heavy(
    quick: Path, tmp_path: Path
) -> None:
    code = (
        "import sys; from bench.cli.main import call; "
        f"code = call(['eval', '-m', '{MODEL}', '-m', '{WRONG}', '-o', 'out']); "
        "print(code, 'torch' in sys.modules)"
    )
    found = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, check=True
    )
    assert found.stdout.split() == ["2", "False"]
    assert "did you mean" in found.stderr
    with pytest.raises(BenchError, match="did you mean"):
        bench.evaluate([MODEL, WRONG], output=None, **FEW)
    assert not list(tmp_path.iterdir())


def test_a_call_warns_of_a_model_that_it_lacks_and_returns_the_rest(quick: Path) -> None:
    alone = bench.evaluate(MODEL, output=None, **FEW)
    with pytest.warns(BenchWarning, match=f"not measured: {DEEP}: expected"):
        table = bench.evaluate([DEEP, MODEL], output=None, **FEW)
    pd.testing.assert_frame_equal(
        table.drop(columns="seconds"), alone.drop(columns="seconds"), check_exact=True
    )
    assert [made["model"] for made in table.attrs["bench"]] == [MODEL]


def test_a_call_that_measures_nothing_raises(quick: Path) -> None:
    with pytest.raises(BenchError, match=f"bench train --model {DEEP}"):
        bench.evaluate(DEEP, output=None, **FEW)
    with pytest.raises(BenchError, match="did you mean"):
        bench.evaluate(WRONG, output=None, **FEW)
    with (
        warnings.catch_warnings(),
        pytest.raises(BenchError, match="expected 2 models measured, found 2 that could not be"),
    ):
        bench.evaluate([DEEP, "fashionmnist-deep-full-conv"], output=None, **FEW)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"engine": "ray"}, "expected engine='local' for a model in memory, got 'ray'"),
        ({"engine": "slurm"}, "expected engine='local' for a model in memory, got 'slurm'"),
        ({"workers": 2}, "expected workers=1 for a model in memory, got 2"),
    ],
)
def test_a_model_in_memory_stays_in_its_process(options: dict[str, object], message: str) -> None:
    with pytest.raises(BenchError, match=message):
        bench.evaluate(nn.Flatten(), dataset="fashionmnist", output=None, **options)


def test_the_samples_of_an_array_are_told_as_steps() -> None:
    """An array tells sums: none at first, more when another model is opened, sometimes old ones."""
    told: list[tuple[str, int]] = []

    class Watcher:
        def begin(self, attack: str, total: int, done: int) -> None:
            told.append(("begin", total))

        def advance(self, attack: str, samples: int) -> None:
            told.append(("advance", samples))

        def note(self, text: str) -> None: ...

    plans: dict[int, Plan] = {}
    watcher = Told(plans, Watcher())
    for total, done in [(0, 0), (96, 0), (96, 32), (192, 32), (192, 20), (192, 192)]:
        watcher.set(total, done, "1 running")
    assert told == [("begin", 96), ("advance", 32), ("begin", 96), ("advance", 160)]
