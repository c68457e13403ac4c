"""The cost of a run before it: without data or weights, counted by hand; nothing is written."""

from __future__ import annotations

import math
import socket
from pathlib import Path

import numpy as np
import pytest
from conftest import MODEL, REPOSITORY

from bench.cli.costs import assumed, cost_table
from bench.cli.main import call
from bench.errors import BenchError
from bench.run import cost as costs
from bench.run.cost import cost_of
from bench.run.expected import Spread, spreads, widths
from bench.run.noise import Speed
from bench.run.request import Request
from bench.steps import calibrate as calibrating
from bench.steps.calibrate import StepChoice, calibrate

SUBMISSIONS = str(REPOSITORY / "submissions")
SPEED = Speed(0.001, 0.002, 0.004, 8, 3, "on noise", 1.0)


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("the network was asked")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


def request(model: str, tmp_path: Path, **options: object) -> Request:
    return Request.of(model=model, output=tmp_path, submissions=SUBMISSIONS, **options)


def test_an_imagenet_model_without_data_or_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Passes by hand: 1000 x .80522 right; PGD 1000, 1000 and 200 steps; 128 for witnesses."""
    monkeypatch.setattr(costs, "speed_of", lambda *_: SPEED)
    found = cost_of(request("resnet50d", tmp_path))
    passes = {each.attack: each.passes for each in found.attacks}
    assert [passes[a] for a in ("pgd-linf", "pgd-l2", "pgd-l1")] == [805_000, 805_000, 161_000]
    assert passes["ddn-l2"] == 103 * 300
    assert "exact-l2" not in passes
    assert found.passes == sum(passes.values())
    low, mid, high = found.seconds
    assert (low, mid, high) == pytest.approx([found.passes * s for s in (0.001, 0.002, 0.004)])
    assert found.accuracy_from == "the paper"
    assert 25e6 < found.n_params < 26e6
    assert found.weights_bytes == 4 * found.n_params
    table = cost_table(found, {"h100": 2000.0})
    assert f"on h100: {found.passes / 2000 / 3600:.2f} hours" in table
    assert "another data set" in table
    assert not list(tmp_path.iterdir())


def test_a_control_needs_the_primary_attack_and_has_the_accuracy_of_chance(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(costs, "speed_of", lambda *_: SPEED)
    found = cost_of(request("resnet50d", tmp_path, weights="random", limit=500))
    assert found.accuracy == 1 / 1000
    assert {"min-l2"} == {each.attack for each in found.attacks if "min" in each.attack}
    assert found.attacks[0].samples == 500
    assert found.weights_bytes == 0


def test_small_images_without_weights_say_how_much_a_solver_may_add(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(costs, "speed_of", lambda *_: SPEED)
    found = cost_of(request("cifar10-local-conv-relu", tmp_path))
    by = {each.attack: each for each in found.attacks}
    low, _, high = by["min-l2"].seconds
    assert high / low == pytest.approx(4 * costs.SOLVER)
    low, _, high = by["pgd-l2"].seconds
    assert high / low == pytest.approx(4)


@pytest.mark.slow
def test_the_command_times_noise(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("bench.run.noise.SECONDS", 0.1)
    run = ["eval", "-m", "cifar10-local-conv-relu", "--dry-run", "-o", str(tmp_path)]
    assert call([*run, "--assume", "h100=1e6"]) == 0
    out, err = capsys.readouterr()
    assert "random weights, for its speed" in err
    assert "on noise with random weights" in out
    assert "on h100: 0.00 hours at the 1e+06 images/s that you assume" in out


def test_what_is_done_is_not_counted_again(quick: Path, tmp_path: Path) -> None:
    run = ["eval", "-m", MODEL, "--protocol", "quick", "-a", "pgd-l2", "-o", str(tmp_path)]
    assert call(run) == 0
    asked = request(MODEL, tmp_path, protocol="quick")
    found = {each.attack: each for each in cost_of(asked).attacks}
    assert (found["pgd-l2"].done, found["pgd-l2"].passes) == (48, 0)
    assert (found["pgd-l1"].done, found["pgd-l1"].samples) == (0, 48)


@pytest.mark.parametrize("text", ["h100", "=5", "h100=", "h100=0", "h100=-1", "h100=inf", "x=nan"])
def test_a_rate_that_is_none(text: str) -> None:
    with pytest.raises(BenchError, match="expected --assume NAME=RATE"):
        assumed([text])
    assert assumed(["h100=2e3", "a=b=4"]) == {"h100": 2000.0, "a=b": 4.0}


def test_widths_are_those_of_the_measured_models() -> None:
    known = {"a": [Spread(0.1, 1.0), Spread(0.3, 0.25)]}
    found = widths(known, "digits", "a", 100)
    assert found.low == pytest.approx(1.96 * 0.1 / 10)
    assert found.high == pytest.approx(1.96 * 0.3 / 5)
    assert (found.models, found.dataset) == (2, "digits")
    assert math.isnan(widths(known, "digits", "b", 100).low)
    assert widths(known, "digits", "a", 0).models == 0


def test_spreads_come_from_submissions_of_the_same_protocol() -> None:
    """Beside numpy on the file of one model."""
    import pandas as pd

    whose, found = spreads(SUBMISSIONS, "minimal2026", "fashionmnist")
    assert whose == "fashionmnist"
    folder = REPOSITORY / "submissions" / "minimal2026" / "fashionmnist"
    rows = pd.read_parquet(folder / f"{MODEL}.parquet", columns=["attack", "rfc", "success"])
    mine = rows[(rows["attack"].astype(str) == "min-l2") & rows["success"]]
    sds = [one.sd for one in found["min-l2"]]
    assert min(abs(sd - np.std(mine["rfc"], ddof=1)) for sd in sds) < 1e-6
    assert spreads(SUBMISSIONS, "minimal2026", "imagenet")[0] == "fashionmnist"
    assert spreads(SUBMISSIONS, "nothing", "imagenet")[1] == {}
    assert spreads(None, "minimal2026", "fashionmnist")[1] == {}


# ---------------------------------------------------------------- calibration


class Clock:
    """Time that passes by steps only."""

    def __init__(self) -> None:
        self.now = 0.0

    def perf_counter(self) -> float:
        return self.now

    def step(self, *_: object) -> float:
        self.now += 1.0
        return 1.0


def test_a_busy_machine_is_said_of_steps_too(
    quick: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = request(MODEL, tmp_path, protocol="quick", limit=8, attacks=("pgd-l1",))
    monkeypatch.setattr(costs.time, "process_time", lambda: 0.0)  # others have the core
    assert "this process got 0 % of a core" in cost_of(asked).timed
    monkeypatch.setattr(costs.time, "process_time", costs.time.perf_counter)
    assert "busy" not in cost_of(asked).timed


def test_a_calibration_that_nobody_feels_is_not_announced(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch
    from torch import nn

    clock = Clock()
    monkeypatch.setattr(calibrating, "time", clock)

    def quick(*_: object) -> float:
        clock.now += 0.001
        return 0.001

    layers = [nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(144, 10)]
    net = nn.Sequential(*layers).eval().requires_grad_(False)
    images, labels = torch.rand(16, 3, 8, 8), torch.zeros(16, dtype=torch.int64)
    said: list[str] = []
    calibrate(net, images, labels, timer=quick, planned=10_000, tell=said.append)
    assert clock.now > 0.04, "questions were answered"
    assert said == []


@pytest.mark.parametrize("planned", [500, 1000, 2000, 10_000])
def test_a_calibration_stays_below_a_twentieth_of_its_run(
    planned: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch
    from torch import nn

    clock = Clock()
    monkeypatch.setattr(calibrating, "time", clock)
    layers = [nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(144, 10)]
    model = nn.Sequential(*layers).eval().requires_grad_(False)
    images = torch.rand((16, 3, 8, 8), generator=torch.Generator().manual_seed(0))
    labels = torch.zeros(16, dtype=torch.int64)
    said: list[str] = []
    choice = calibrate(model, images, labels, timer=clock.step, planned=planned, tell=said.append)
    assert clock.now <= planned * calibrating.SHARE + 2
    assert isinstance(choice, StepChoice)
    assert all("of at most" in text for text in said)
    assert said
    if planned == 10_000:
        assert clock.now > 40, "there was time to answer every question"
