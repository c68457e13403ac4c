"""The known values hold here; and a value that is off, or breaks, is seen."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch

import bench
from bench.cli.main import call
from bench.known import run
from bench.known.value import Known, Line, measure

CPU = torch.device("cpu")


def test_every_value_holds(capsys: pytest.CaptureFixture[str]) -> None:
    assert call(["selftest", "--device", "cpu"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert sum(line.startswith("ok ") for line in lines) == len(run.VALUES) >= 35
    assert lines[-1].startswith(f"{len(run.VALUES)} of {len(run.VALUES)} values hold")


def test_names_are_different_and_tolerances_small() -> None:
    assert len({known.name for known in run.VALUES}) == len(run.VALUES)
    for known in run.VALUES:
        assert 0 < known.tolerance <= 0.06 * max(abs(known.expected), 0.1)


def _breaks(device: torch.device) -> float:
    raise RuntimeError("no kernel image")


@pytest.mark.parametrize("find", [lambda device: 0.5, lambda device: math.nan, _breaks])
def test_what_is_off_ends_with_code_2(
    find: Callable[[torch.device], float],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    good = Known("good", 1.0, 0.1, lambda device: 1.05)
    monkeypatch.setattr(run, "VALUES", (Known("bad", 1.0, 0.1, find), good))
    assert call(["selftest", "--device", "cpu"]) == 2
    shown = capsys.readouterr()
    assert "OFF" in shown.out
    assert "1 of 2 values hold" in shown.out
    assert "found 1 off: bad" in shown.err
    assert not bench.selftest("cpu")["ok"].all()


def test_a_broken_check_says_why() -> None:
    line = measure(Known("x", 0.0, 1.0, _breaks), CPU)
    assert (line.ok, line.problem) == (False, "no kernel image")
    assert Line(Known("x", 0.0, 1.0, _breaks), 1.0).ok


def test_another_fourier_transform_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """A transform of another normalisation, or of half the plane, does not pass."""
    plain = torch.fft.fft2
    monkeypatch.setattr(torch.fft, "fft2", lambda x, norm=None: plain(x) / x.shape[-1] ** 0.5)
    lines = [measure(known, CPU) for known in run.VALUES[:4]]
    assert not lines[0].ok


def test_an_unknown_device_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert call(["selftest", "--device", "tpu"]) == 2
    assert "expected --device auto, cpu, cuda" in capsys.readouterr().err
