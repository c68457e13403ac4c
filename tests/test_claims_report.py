"""The pages and figures of studies: whole, partial, stale, and from the command line."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from conftest import REPOSITORY
from study_cases import write_cells

from bench.api import studies
from bench.board.claims.write import report, stale, write
from bench.cli.main import call
from bench.entries import registry
from bench.entries.study import Cell
from bench.errors import BenchError

TOY = """
name = "toy"
title = "A toy"
deviations = ["None but this."]
samples = 100
linear_samples = 100
checkpoints = [0, 1, 2]
[fixed]
epochs = 2
[[groups]]
name = "all"
title = "All"
priority = 1
seeds = [0, 1, 2]
[groups.factors]
relu = [false, true]
learning_rate = [0.01]
family = ["local-conv", "full-conv"]
[[contrasts]]
name = "local-minus-full"
title = "Local minus full"
left = { family = "local-conv" }
right = { family = "full-conv" }
by = ["relu", "learning_rate"]
ways = ["end", "loss"]
expect = "greater"
[[contrasts]]
name = "by-attack"
title = "On the board"
kind = "board"
pairs = [["fashionmnist-fully-connected", "fashionmnist-full-conv"]]
attacks = ["min-l2", "pgd-l2"]
expect = "greater"
[[contrasts]]
name = "in-order"
title = "Families in an order"
kind = "trend"
levels = [{ family = "full-conv" }, { family = "local-conv" }]
by = ["relu", "learning_rate"]
ways = ["end"]
expect = "greater"
[[claims]]
name = "toy-locality"
sentence = "Local | is *higher*."
source = "a test"
contrasts = ["local-minus-full"]
[[claims]]
name = "toy-order"
sentence = "In order."
source = "a test"
contrasts = ["in-order"]
beside = ["local-minus-full"]
[[claims]]
name = "toy-attacks"
sentence = "Under all attacks."
source = "a test"
contrasts = ["by-attack"]
"""
PLANTED = """
name = "toy-planted"
title = "A planted toy"
samples = 100
linear_samples = 100
checkpoints = [0, 2]
[fixed]
data = "planted"
[[groups]]
name = "optimum"
title = "Best"
priority = 1
seeds = [0, 1, 2]
[groups.factors]
family = ["optimum"]
relu = [false]
learning_rate = [0.01]
epochs = [0]
band = [0.2, 0.6]
[[groups]]
name = "nets"
title = "Nets"
priority = 2
seeds = [0, 1, 2]
[groups.factors]
family = ["local-conv"]
relu = [false]
learning_rate = [0.01]
epochs = [2]
train_count = [500]
band = [0.2, 0.6]
"""


@pytest.fixture
def toys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A registry with two small studies, and a folder of all their blocks."""
    root = tmp_path / "registry"
    for part in ("models", "datasets", "protocols"):
        shutil.copytree(REPOSITORY / "registry" / part, root / part)
    shutil.copy(REPOSITORY / "registry/earlier-hashes.toml", root)
    (root / "studies").mkdir()
    (root / "studies/toy.toml").write_text(TOY)
    (root / "studies/toy-planted.toml").write_text(PLANTED)
    monkeypatch.setenv("BENCH_REGISTRY", str(root))
    registry.forget()
    folder = tmp_path / "studies"
    for name in ("toy", "toy-planted"):
        write_cells(folder, registry.study(name), _rfc_of)
    yield folder
    monkeypatch.undo()
    registry.forget()


def _rfc_of(cell: Cell, epoch: int) -> float:
    band = cell.factors.band or 0.4
    return band + 0.1 * (cell.factors.family == "local-conv")


SUBMISSIONS = REPOSITORY / "submissions"


def test_the_report_says_what_the_blocks_say(toys: Path, tmp_path: Path) -> None:
    made = report(toys, SUBMISSIONS, tmp_path / "board")
    assert set(made.files) == {
        "claims.md",
        "sensitivity.md",
        "planted.md",
        "figures/studies/toy-locality.svg",
        "figures/studies/toy-attacks.svg",
        "figures/studies/toy-order.svg",
        "figures/studies/toy-in-order.svg",
        "figures/studies/toy.svg",
        "figures/studies/toy-planted.svg",
    }
    page = made.files["claims.md"].decode()
    assert "**supported**: all 4 comparisons agree." in page
    assert r"Local \| is \*higher\*." in page
    assert "| linear, rate 0.01 | at the end" in " ".join(page.split())
    beside = page[page.index("Beside it, deciding nothing") :].split("\n\n")[2]
    assert "Difference" in beside
    assert "Together" not in beside  # what decides nothing is read together with nothing
    assert page.count("Together") >= 2
    assert "![in-order](figures/studies/toy-in-order.svg)" in page
    assert "1 - .95^(1 / 3) for 3 claims" in " ".join(page.split())
    assert "None but this." in page
    assert "provisional" not in page
    assert "| **supported** | 12 of 12 |" in " ".join(page.split())
    # the board's models have seeds under the primary attack only
    assert "**undecided**: 1 of 2 comparisons agree" in page
    assert "weights as they are, over images alone" in page
    sensitivity = made.files["sensitivity.md"].decode()
    assert "Of 4 comparisons 4 say the same under all choices" in sensitivity
    assert "caro2024-absstep" in sensitivity
    assert "toy-planted" not in sensitivity
    planted = made.files["planted.md"].decode()
    assert "+0.1" in planted
    assert "28 pixels, gray, power as radius to the minus 2" in planted


def test_the_same_blocks_give_the_same_bytes(toys: Path, tmp_path: Path) -> None:
    output = tmp_path / "board"
    first = report(toys, SUBMISSIONS, output)
    assert report(toys, SUBMISSIONS, output).files == first.files
    write(first.files, output)
    assert stale(report(toys, SUBMISSIONS, output).files, output) == []
    figure = output / "figures/studies/toy.svg"
    figure.write_text(figure.read_text().replace("<path", "<path ", 1))
    (output / "figures/studies/old.svg").write_text("old")
    again = report(toys, SUBMISSIONS, output).files
    changes = ["changed: figures/studies/toy.svg", "left over: figures/studies/old.svg"]
    assert stale(again, output) == write(again, output) == changes
    assert stale(again, output) == []


def test_a_partial_study_is_reported_with_what_is_missing(toys: Path, tmp_path: Path) -> None:
    for path in (toys / "toy").glob("*-relu-*.parquet"):
        path.unlink()
    page = report(toys, SUBMISSIONS, tmp_path).files["claims.md"].decode()
    assert "6 of 12 cells (training runs) are measured. Verdicts are provisional" in page
    lines = " ".join(page.split())
    assert "Measured are 6 of the 12 training runs of toy, " in lines
    assert "| **undecided**, provisional | 6 of 12 |" in lines
    assert "(provisional): 2 of 4 comparisons agree, 0 oppose it; 2 are not run." in page
    assert "it takes: `bench study run toy --group all`" in page
    assert "Of the others 2 are not run." in page
    nothing = report(tmp_path / "none", SUBMISSIONS, tmp_path).files
    assert "**undecided** (provisional): not run." in nothing["claims.md"].decode()
    assert "Not run: `bench study run toy-planted`" in nothing["planted.md"].decode()
    assert "figures/studies/toy.svg" not in nothing


def test_a_strangers_page_stays(toys: Path, tmp_path: Path) -> None:
    (tmp_path / "claims.md").write_text("# My claims\n")
    with pytest.raises(BenchError, match="another text"):
        write(report(toys, SUBMISSIONS, tmp_path).files, tmp_path)


def test_from_the_command_line(
    toys: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "board"
    where = ["--studies", str(toys), "--submissions", str(SUBMISSIONS), "-o", str(output)]
    assert call(["study", "report", "--check", *where]) == 2
    assert "missing: claims.md" in capsys.readouterr().err
    assert call(["study", "report", "toy", *where]) == 0
    text = capsys.readouterr().out
    assert "toy-locality: supported: all 4 comparisons agree\n" in text
    assert call(["study", "report", "--check", *where]) == 0
    assert capsys.readouterr().out == f"{output} is up to date\n"
    assert call(["study", "report", "tyo", *where]) == 2
    assert "did you mean" in capsys.readouterr().err
    assert call(["study", "report", "--studies", str(tmp_path / "no"), "-o", str(output)]) == 2
    assert "expected a folder of studies" in capsys.readouterr().err
    found = studies.study_report(toys, SUBMISSIONS, output)
    assert found == {
        "toy-locality": "supported",
        "toy-order": "supported",
        "toy-attacks": "undecided",
    }


def test_what_is_left_out_is_named(
    toys: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = sorted((toys / "toy").glob("*.parquet"))[0]
    path.write_bytes(path.read_bytes()[:2000])
    where = ["--studies", str(toys), "-o", str(tmp_path / "board")]
    assert call(["study", "report", *where]) == 0
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert err.startswith(f"left out: {path.name}: ")
    assert call(["study", "report", *where, "--submissions", str(tmp_path / "none")]) == 2
    assert "expected a folder of results, found none" in capsys.readouterr().err


def test_a_block_that_may_not_be_read_is_left_out(
    toys: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = sorted((toys / "toy").glob("*.parquet"))[0]
    really = Path.read_bytes

    def refuse(self: Path) -> bytes:
        if self == path:
            raise PermissionError(13, "Permission denied", str(self))
        return really(self)

    monkeypatch.setattr(Path, "read_bytes", refuse)
    made = report(toys, SUBMISSIONS, tmp_path / "board")
    (line,) = made.studies[0].stale
    assert line.startswith(path.name)
    assert path not in made.studies[0].files
    assert len(made.studies[0].files) == len(list(path.parent.glob("*.parquet"))) - 1


def test_a_study_of_ones_own_is_reported_alone(
    toys: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    own = tmp_path / "mine.toml"
    own.write_text(TOY.replace('name = "toy"', 'name = "mine"'))
    write_cells(toys, registry.study(str(own)), _rfc_of)
    where = ["--studies", str(toys), "-o", str(tmp_path / "board")]
    assert call(["study", "report", str(own), *where]) == 0
    out = capsys.readouterr().out
    assert "toy-locality: supported" in out
    page = (tmp_path / "board/claims.md").read_text()
    assert "## Study mine" in page
    assert "## Study toy" not in page
    assert call(["study", "report", str(own), "--studies", str(toys)]) == 2
    assert "expected --output for a study that is not the registry's" in capsys.readouterr().err
    assert studies.study_report(toys, SUBMISSIONS, tmp_path / "again", own)["toy-order"]
