"""`bench doctor`: what is there, what lacks and what gets it; nothing is left behind."""

from __future__ import annotations

from pathlib import Path

import pytest
from conftest import MODEL

import bench
from bench.cli.main import call
from bench.errors import BenchError
from bench.run import doctor
from bench.run.doctor import Line, examine

pytestmark = pytest.mark.usefixtures("caro_ranks")


@pytest.fixture(autouse=True)
def quick_measures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty hub cache, and a device that is measured for a moment only."""
    from huggingface_hub import constants

    for name in ("HF_HOME", "HF_HUB_CACHE"):
        monkeypatch.setattr(constants, name, str(tmp_path / "hf"))
    monkeypatch.setattr(doctor, "SECONDS", 0.01)
    monkeypatch.setattr(doctor, "SIDE", 32)


def topic(lines: list[Line], name: str) -> list[Line]:
    return [line for line in lines if line.topic == name]


def test_one_page(quick: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output = tmp_path / "new"
    assert call(["doctor", "-o", str(output)]) == 0
    out = capsys.readouterr().out
    assert len(out.splitlines()) < 40
    for text in (
        "versions ",
        "GFLOP/s in float32",
        "ok fashionmnist: embedded, the protocol's images",
        "-  cifar10: not here  ->  bench download -d cifar10",
        "-  imagenet: 0 of 12 models  ->  bench download -m",
        "ok fashionmnist: ",
        f"{output} can be written",
        "several processes here: yes",
        f"bench eval --model {MODEL} can run",
        "hours here",
    ):
        assert text.removeprefix("ok ") in out, text
    found = bench.doctor(MODEL, output=output)
    assert found.loc[found["topic"] == "job", "fine"].tolist() == [True]
    assert found.loc[found["text"].str.startswith("cifar10:"), "remedy"].str.len().gt(0).all()
    assert not output.exists(), "nothing is left behind"


def test_a_model_without_weights_or_images_is_a_two(
    quick: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(doctor, "_time", lambda *_: Line("time", "not timed here"))
    assert call(["doctor", "--model", "cifar10-local-conv", "-o", str(tmp_path)]) == 2
    out, err = capsys.readouterr()
    assert "bench eval --model cifar10-local-conv can't run: cifar10: not here" in err
    assert "bench download -d cifar10" in err
    assert "bench train --model cifar10-local-conv" in out


def test_a_place_that_cannot_be_written(quick: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    lines = list(examine(MODEL, str(tmp_path / "file")))
    (writing,) = topic(lines, "writing")
    assert writing.fine is False
    assert topic(lines, "job")[0].fine is False


def test_unknown_names_are_errors(quick: Path) -> None:
    with pytest.raises(BenchError, match="did you mean"):
        next(examine(MODEL[:-1]))
    with pytest.raises(BenchError, match="expected a GPU for --device cuda:99"):
        next(examine(MODEL, device="cuda:99"))
