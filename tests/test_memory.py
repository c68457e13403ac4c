"""`bench.evaluate` with a model in memory, lists and patterns of models, and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from conftest import MODEL
from torch import Tensor, nn

import bench
from bench.errors import BenchError, BenchWarning

pytestmark = pytest.mark.usefixtures("caro_ranks", "quick")
QUICK = {"protocol": "quick", "dataset": "fashionmnist", "limit": 12, "progress": False}


def affine(seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Flatten(), nn.Linear(784, 10))


def test_a_module_is_measured_like_the_entry_whose_model_it_is() -> None:
    """The very rows of the entry, but for name and rank; the module itself stays as it was."""
    net = bench.load_model(MODEL).train().requires_grad_(True)
    mine = bench.evaluate(net, name="mine", attacks="pgd-l2", output=None, **QUICK)
    theirs = bench.evaluate(MODEL, attacks=["pgd-l2"], output=None, **QUICK)
    changed = ["model", "seconds"]
    pd.testing.assert_frame_equal(mine.drop(columns=changed), theirs.drop(columns=changed))
    assert set(mine["model"]) == {"mine"}
    assert net.training
    assert all(p.requires_grad for p in net.parameters())
    (note,) = mine.attrs["bench"]
    assert "a model in memory, without an entry in the registry" in note["partial_reasons"]
    json.dumps(mine.attrs)  # pandas writes it into Parquet


def test_whole_and_without_entry_is_partial(tmp_path: Path) -> None:
    whole = {**QUICK, "limit": None}
    bench.evaluate(bench.load_model(MODEL), attacks="pgd-l1", name="mine", output=tmp_path, **whole)
    assert [str(p.relative_to(tmp_path)) for p in tmp_path.rglob("mine.parquet")] == [
        "partial/quick/fashionmnist/mine.parquet"
    ]


def test_two_models_of_one_name_never_share_a_file(tmp_path: Path) -> None:
    def run(net: nn.Module, attack: str, **more: object) -> pd.DataFrame:
        return bench.evaluate(net, name="mine", attacks=attack, output=tmp_path, **QUICK, **more)

    first = run(affine(), "pgd-l1")
    with pytest.raises(BenchError, match="was made with weights_sha256"):
        run(affine(1), "pgd-l2")
    # the same weights in another function
    other = nn.Sequential(*affine(), nn.LeakyReLU(0.9999))
    other.load_state_dict(affine().state_dict())
    with pytest.raises(BenchError, match="was made with weights_sha256"):
        run(other, "pgd-l2")
    again = run(affine(), "pgd-l1")  # an equal one goes on, and reuses what is there
    pd.testing.assert_frame_equal(again, first, check_exact=True)
    replaced = run(affine(1), "pgd-l1", overwrite=True)
    assert not first["clean_pred"].equals(replaced["clean_pred"])


def test_a_model_at_chance_is_told_that_its_images_are_in_0_1() -> None:
    with pytest.warns(BenchWarning, match="its normalisation must be inside"):
        bench.evaluate(affine(), attacks="clean", output=None, **{**QUICK, "limit": None})


def test_the_name_of_an_entry_is_for_its_model(tmp_path: Path) -> None:
    table = bench.evaluate(
        bench.load_model(MODEL), name=MODEL, attacks="pgd-l1", output=tmp_path, **QUICK
    )
    assert table.attrs["bench"][0]["partial_reasons"] == ["first 12 of 48 samples"]
    for net, words in (
        (bench.load_model(MODEL, weights="random"), "has other weights"),
        (affine(), "has other weights"),
    ):
        with pytest.raises(BenchError, match=words):
            bench.evaluate(net, name=MODEL, output=tmp_path, **QUICK)
    sharp = bench.load_model(MODEL)
    sharp.register_forward_hook(lambda module, inputs, logits: logits.relu())
    with pytest.raises(BenchError, match="other logits"):
        bench.evaluate(sharp, name=MODEL, output=tmp_path, **QUICK)


class Noisy(nn.Module):
    """Dropout that eval mode does not switch off."""

    def __init__(self) -> None:
        super().__init__()
        self.body = affine()

    def forward(self, images: Tensor) -> Tensor:
        return self.body(nn.functional.dropout(images, 0.5, training=True))


class Batchwise(Noisy):
    """Statistics of the batch."""

    def forward(self, images: Tensor) -> Tensor:
        return self.body(images - images.mean(0, keepdim=True))


class Uncopied(Noisy):
    """A tensor that is the result of a computation can't be copied."""

    def __init__(self) -> None:
        super().__init__()
        self.seen = self.body(torch.zeros(1, 1, 28, 28))


@pytest.mark.parametrize(
    ("net", "options", "words"),
    [
        (Noisy(), {}, "it draws random numbers"),
        (Batchwise(), {}, "depend on the others of its batch"),
        (Uncopied(), {}, "that can be copied"),
        (affine(), {"workers": 2}, "expected workers=1 for a model in memory"),
        (affine(), {"weights": "random"}, "expected no weights= with a model in memory"),
        (affine(), {"dataset": None}, "expected dataset= with a model in memory"),
        (affine(), {"dataset": "cifar10", "data": "samples"}, "takes 3 x 32 x 32 images"),
        (affine(), {"name": "a/b"}, "the model in memory: name"),
        (affine(), {"name": "a@seed1"}, 'must not contain "@"'),
        (affine(), {"name": 3}, "expected text for name, got 3"),
        (affine().half(), {}, "expected a model that takes 1 x 28 x 28 images"),
        (nn.Sequential(*affine(), nn.Linear(10, 7)), {}, "expected logits"),
    ],
)
def test_what_is_no_fixed_function_of_an_image_is_refused(
    net: nn.Module, options: dict[str, object], words: str, tmp_path: Path
) -> None:
    with pytest.raises(BenchError, match=words) as caught:
        bench.evaluate(net, **{**QUICK, "name": "mine", "output": tmp_path, **options})
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.rglob("*.parquet"))


def test_lists_and_patterns_of_models() -> None:
    options = {**QUICK, "limit": 4, "attacks": "pgd-l1", "output": None}
    names = ["fashionmnist-full-conv-relu", "fashionmnist-local-conv-relu"]
    table = bench.evaluate(names, **options)
    assert list(dict.fromkeys(table["model"])) == names
    assert [note["model"] for note in table.attrs["bench"]] == names
    pattern = bench.evaluate("fashionmnist-[fl][uo]*l-conv-relu", **options)
    pd.testing.assert_frame_equal(pattern.drop(columns="seconds"), table.drop(columns="seconds"))
    found = bench.summary(table)
    assert list(found["model"]) == names
    assert list(found["n_samples"]) == [4, 4]


def test_spectra_of_numpy_arrays_are_those_of_tensors() -> None:
    delta = np.random.default_rng(0).normal(size=(3, 1, 9, 8)).astype(np.float32)
    found = bench.spectrum.spectral_metrics(delta)
    for name, values in bench.spectrum.spectral_metrics(torch.from_numpy(delta)).items():
        torch.testing.assert_close(found[name], values, rtol=0, atol=0, equal_nan=True)
    power = bench.spectrum.power_spectrum(delta.astype(">f4"))
    assert power.sum().item() == pytest.approx((delta.astype(np.float64) ** 2).sum())
    for wrong in ([[1.0]], "x", None, delta + 1j, torch.ones(1, 1, 2, 2) + 1j, delta[0], delta[:0]):
        with pytest.raises(BenchError, match="expected"):
            bench.spectrum.spectral_metrics(wrong)


class Told:
    """Notes what it is told."""

    def __init__(self) -> None:
        self.said: list[tuple[object, ...]] = []

    def begin(self, attack: str, total: int, done: int) -> None:
        self.said.append((attack, total, done))

    def advance(self, attack: str, samples: int) -> None:
        self.said.append((attack, samples))

    def note(self, text: str) -> None:
        pass


def test_progress_is_quiet_unless_it_is_seen_or_asked_for(
    capsys: pytest.CaptureFixture[str],
) -> None:
    options = {**QUICK, "limit": 3, "attacks": "pgd-l1", "output": None}
    del options["progress"]
    bench.evaluate(MODEL, **options)
    assert capsys.readouterr() == ("", "")
    bench.evaluate(MODEL, progress=True, **options)
    assert "pgd-l1: 3/3 samples" in capsys.readouterr().err
    told = Told()
    bench.evaluate(MODEL, progress=told, **options)
    assert told.said[0] == ("pgd-l1", 3, 0)
    assert sum(int(each[1]) for each in told.said[1:]) == 3
