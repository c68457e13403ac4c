"""The loop: what a block holds, checked against numpy and by hand."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from test_spectrum import numpy_reference
from torch import Tensor, nn
from toy import Constant, job, linear

from bench.attacks.base import Attacked
from bench.entries.attacks import AttackSettings
from bench.errors import BenchError
from bench.measure.block import run_block
from bench.measure.memory import in_parts
from bench.results.block import block_samples
from bench.steps.step import GradientStep


def test_columns_agree_with_numpy_on_the_stored_perturbations() -> None:
    block = run_block(job(linear()), "pgd-l2", range(32), keep_deltas=True)
    assert block.deltas is not None
    assert block.deltas.dtype == np.float32
    assert len(block.delta_ids) == 32 - 7  # every fifth label is wrong
    for sample, delta in zip(block.delta_ids, block.deltas, strict=True):
        wide = delta.astype(np.float64)
        expected = numpy_reference(wide) | {
            "l0": np.count_nonzero(wide),
            "l1": np.abs(wide).sum(),
            "l2": np.sqrt((wide**2).sum()),
            "linf": np.abs(wide).max(),
        }
        for name, value in expected.items():
            assert block.columns[name][sample] == pytest.approx(value, abs=1e-9), name


def test_statuses_and_gaps() -> None:
    block = run_block(job(linear()), "pgd-l2", range(32))
    status = block.columns["status"]
    wrong = np.arange(32) % 5 == 0
    assert (status[wrong] == "clean_wrong").all()
    assert (block.columns["adv_pred"][wrong] == -1).all()
    for name in ("l2", "linf", "rfc", "image_rfc", "grad_rfc", "seconds"):
        assert np.isnan(block.columns[name][wrong]).all(), name
        assert not np.isnan(block.columns[name][~wrong]).any(), name
    fooled = block.columns["adv_pred"][~wrong] != block.columns["label"][~wrong]
    assert (block.columns["success"][~wrong] == fooled).all()
    assert set(status[~wrong]) <= {"ok", "not_fooled"}


def test_gradient_rfc_of_a_linear_binary_model_is_that_of_its_weight() -> None:
    model = linear(classes=2)
    weight = (model[1].weight[0] - model[1].weight[1]).reshape(1, 8, 8).numpy()
    block = run_block(job(model, classes=2), "pgd-l2", range(32))
    measured = block.columns["grad_rfc"][~np.isnan(block.columns["grad_rfc"])]
    assert len(measured) > 10
    assert measured == pytest.approx(numpy_reference(weight.astype(np.float64))["rfc"], abs=2e-5)


def test_a_model_without_gradient_is_flagged_and_not_called_robust() -> None:
    constant = job(Constant([1.0, 0.0, 0.0]))
    block = run_block(constant, "pgd-l2", range(32))
    right = block.columns["label"] == 0
    assert (block.columns["status"][right] == "zero").all()
    assert (block.columns["zero_grad"][right] == 1).all()
    assert (block.columns["l2"][right] == 0).all()
    assert np.isnan(block.columns["rfc"][right]).all()
    assert not block.columns["success"].any()


def test_a_start_that_does_not_exist_costs_its_sample_only() -> None:
    block = run_block(job(Constant([1.0, 0.0, 0.0])), "bb-l2", range(32))
    right = block.columns["label"] == 0
    assert right.any()
    assert (block.columns["status"][right] == "init_failed").all()
    assert np.isnan(block.columns["l2"][right]).all()
    assert (block.columns["status"][~right] == "clean_wrong").all()


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (Constant([0.0, float("nan"), 0.0]), "expected finite logits"),
        (Constant([0.0, 1.0]), r"expected logits \(16, 3\) .* got \(16, 2\)"),
        (nn.Identity(), r"got \(16, 1, 8, 8\)"),
    ],
)
def test_unusable_logits_are_one_clear_error(model: nn.Module, message: str) -> None:
    with pytest.raises(BenchError, match=message):
        run_block(job(model), "pgd-l2", range(32))


def test_spectrum_sum_is_that_of_the_kept_samples() -> None:
    block = run_block(job(linear()), "pgd-l2", range(32), keep_deltas=True)
    kept = int((block.columns["status"] == "ok").sum())
    assert block.kept == kept > 0
    assert block.spectrum_sum.shape == (8, 8)
    assert block.spectrum_sum.sum() == pytest.approx(kept)
    assert block.spectrum_sum[4, 4] == 0  # DC, in the middle
    assert len(block.examples) == min(4, kept)
    sample, image, delta = block.examples[0]
    assert block.columns["status"][sample] == "ok"
    assert ((image + delta >= -1e-7) & (image + delta <= 1 + 1e-7)).all()


def test_batches_that_do_not_fit_are_halved_and_nothing_is_lost() -> None:
    tried = []

    def work(some: torch.Tensor) -> list[int]:
        tried.append(len(some))
        if len(some) > 3:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return some.tolist()

    results = in_parts(work, torch.arange(16), 16)
    assert [i for part in results for i in part] == list(range(16))
    assert tried[:3] == [16, 8, 4]
    with pytest.raises(BenchError, match="batch of 1 sample"):
        in_parts(lambda some: work(torch.arange(9)), torch.arange(4), 4)
    with pytest.raises(RuntimeError, match="shape mismatch"):
        in_parts(
            lambda some: (_ for _ in ()).throw(RuntimeError("shape mismatch")), torch.arange(2), 2
        )


class Narrow(nn.Module):
    """Has memory for four images at a time while it is attacked."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        if len(images) > 4 and images.requires_grad:
            raise MemoryError
        logits: torch.Tensor = self.inner(images)
        return logits


def test_equal_passes_shrink_with_the_batch_where_memory_runs_out() -> None:
    whole = run_block(job(linear()), "pgd-l2", range(32), keep_deltas=True)
    step = GradientStep(Narrow(linear()), micro_batch=8, equal_passes=True)
    block = run_block(replace(job(linear()), step=step), "pgd-l2", range(32), keep_deltas=True)
    assert step.micro_batch in (2, 3, 4)
    assert whole.deltas is not None
    assert block.deltas is not None
    assert np.allclose(block.deltas, whole.deltas, rtol=0, atol=1e-6)


def test_block_holds_whole_batches() -> None:
    assert [block_samples(b) for b in (1, 7, 32, 64, 128)] == [32, 35, 32, 64, 128]


class Stuck(AttackSettings):
    """Moves every other sample far, says that the first eight stalled and two broke down."""

    algorithm: str = "stuck"

    def run(self, step: Any, images: Tensor, labels: Tensor, starts: Any) -> Attacked:
        moved = images.clone()
        moved[::2] = 1 - images[::2]
        place = torch.arange(len(images))
        return Attacked(moved, place < 8, (place == 2) | (place == 3))


def test_what_comes_first_is_the_status_and_a_stalled_sample_keeps_its_numbers() -> None:
    made = replace(job(linear(), batch=40), attacks={"stuck": Stuck(norm="l2", version=1)})
    columns = run_block(made, "stuck", range(40)).columns
    tried = np.flatnonzero(columns["clean_correct"])
    status = columns["status"][tried]
    assert status[:8].tolist() == ["stalled"] * 2 + ["nonfinite"] * 2 + ["stalled"] * 4
    assert set(status[9::2]) == {"zero"}
    assert set(status[8::2]) <= {"ok", "not_fooled"}
    assert not columns["success"][tried][:8].any()
    # of the stalled ones some moved, and some did not
    l2, rfc, pred = (columns[name][tried] for name in ("l2", "rfc", "adv_pred"))
    assert (l2[[0, 4, 6]] > 0).all()
    assert (l2[[1, 5, 7]] == 0).all()
    assert np.isfinite(rfc[[0, 4, 6]]).all()
    assert np.isnan(rfc[[1, 2, 3, 5, 7]]).all()
    assert (pred[[2, 3]] == -1).all()
    assert (pred[[0, 1, 4, 5, 6, 7]] >= 0).all()


class Holes(nn.Module):
    """Has no logits for some images, known by their first pixel."""

    def __init__(self, inner: nn.Module, pixels: torch.Tensor) -> None:
        super().__init__()
        self.inner = inner
        self.register_buffer("pixels", pixels)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        hole = torch.isin(images[:, 0, 0, 0], self.pixels)
        return torch.where(hole[:, None], torch.nan, self.inner(images))


def test_nan_logits_on_a_clean_image_cost_that_sample_only() -> None:
    plain = job(linear())
    first = plain.load(range(40))[:, 0, 0, 0]
    (alone,) = [np.flatnonzero(np.isin(first, first[[3, 17]]))]
    holed = job(Holes(linear(), first[[3, 17]]))
    block, whole = (run_block(j, "bb-l2", range(32)) for j in (holed, plain))
    assert np.flatnonzero(block.columns["status"] == "nonfinite").tolist() == alone.tolist()
    assert (block.columns["clean_pred"][alone] == -1).all()
    assert not block.columns["clean_correct"][alone].any()
    assert np.isnan(block.columns["l2"][alone]).all()
    others = np.setdiff1d(np.arange(32), alone)
    for name in ("status", "clean_pred", "image_rfc"):
        assert np.array_equal(
            block.columns[name][others].astype(str), whole.columns[name][others].astype(str)
        )


def test_an_image_without_a_class_is_no_start_point() -> None:
    pixels = job(linear()).load(range(40))[:, 0, 0, 0]
    holed = job(Holes(linear(), pixels[1:]))  # of the pool only the first image has a class
    label = int(holed.logits(holed.load([0])).argmax())
    image = holed.load([0])[0]
    start = holed.starts.start("bb-l2", 0, label, image)
    assert start is None or bool(holed.logits(start[None]).isfinite().all())


def test_clean_predictions_of_an_image_without_logits() -> None:
    from bench.results.tables import clean_table
    from bench.run.clean import clean_rows

    pixels = job(linear()).load(range(40))[:, 0, 0, 0]
    rows = clean_table(clean_rows(job(Holes(linear(), pixels[[5]])), range(32))).to_pylist()
    assert rows[5]["pred"] is None
    assert rows[5]["label_rank"] == 3, "behind all classes"
    assert all(row["pred"] is not None for row in rows[:5])
