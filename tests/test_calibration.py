"""When the model step of a run is calibrated, and that a choice once made stays."""

from dataclasses import replace
from pathlib import Path

import pytest
import toy
from torch import Tensor, nn

from bench.measure.job import Job
from bench.run import pace as calibration
from bench.steps.calibrate import StepChoice

pytestmark = pytest.mark.usefixtures("caro_ranks")

CHOICE = StepChoice(micro_batch=4)


@pytest.fixture
def calls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """An empty cache, and a calibration that notes the batches that it sees."""
    seen: list[int] = []

    def calibrate(model: nn.Module, images: Tensor, labels: Tensor, **more: object) -> StepChoice:
        seen.append(len(images))
        return CHOICE

    monkeypatch.setenv("BENCH_CACHE", str(tmp_path))
    monkeypatch.setattr(calibration, "calibrate", calibrate)
    return seen


def job(steps: int) -> Job:
    made = toy.job(toy.linear())
    return replace(made, attacks={"pgd-l2": toy.PGD.model_copy(update={"steps": steps})})


IDS = tuple(range(40))  # three batches of 16


def test_a_long_run_is_calibrated_once_and_remembered(calls: list[int]) -> None:
    assert calibration.choose(job(1000), IDS, "a") == CHOICE
    assert calls == [16], "on its first batch"
    assert calibration.choose(job(1000), IDS, "a") == CHOICE
    assert calls == [16], "a second run makes the same choice without a clock"
    calibration.choose(job(1000), IDS, "b")
    assert calls == [16, 16], "other weights are another model"


@pytest.mark.parametrize(("steps", "wanted"), [(166, 0), (167, 1)])
def test_a_short_run_is_not_worth_it(calls: list[int], steps: int, wanted: int) -> None:
    """500 steps: three batches of 167."""
    assert calibration.choose(job(steps), IDS, "a") == (CHOICE if wanted else StepChoice())
    assert len(calls) == wanted


def test_an_unfinished_run_keeps_what_it_began_with(calls: list[int]) -> None:
    kept = StepChoice(channels_last=True)
    assert calibration.choose(job(1000), IDS, "a", kept.describe()) == kept
    assert calls == []


def test_a_broken_note_is_not_believed(calls: list[int], tmp_path: Path) -> None:
    calibration.choose(job(1000), IDS, "a")
    (note,) = (tmp_path / "steps").iterdir()
    note.write_text('{"speed": "warp"}')
    assert calibration.choose(job(1000), IDS, "a") == CHOICE
    assert len(calls) == 2


def test_large_images_have_one_choice_for_all_batches_of_eight_and_more(
    calls: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    for batch in (16, 9, 8):
        calibration.choose(replace(job(1000), batch_size=batch), IDS, "a")
    assert calls == [16, 9, 8], "small images: a choice for each batch"
    monkeypatch.setattr("bench.steps.calibrate.LARGE", 64)
    for batch in (16, 9, 8):
        calibration.choose(replace(job(1000), batch_size=batch), IDS, "b")
    assert calls == [16, 9, 8, 16]


def test_a_choice_of_another_version_is_not_taken(
    calls: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    calibration.choose(job(1000), IDS, "a")
    monkeypatch.setattr(StepChoice, "describe", lambda self: {"a": 1, "new": False})
    calibration.choose(job(1000), IDS, "a")
    assert calls == [16, 16]
