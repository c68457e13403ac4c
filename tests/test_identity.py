"""A silent change of a model is named: of its weights, of its code, of its transform."""

from __future__ import annotations

import copy
import json
import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq
import pytest
import torch
from conftest import MODEL, REPOSITORY
from torch import nn

import bench
from bench.errors import BenchError, BenchWarning
from bench.models.checkpoint import read_checkpoint, write_checkpoint
from bench.models.identity import probe, probe_images, state_dict_sha256
from bench.results.identity import change, logit_difference

pytestmark = pytest.mark.usefixtures("caro_ranks")

CHECKPOINT = REPOSITORY / "registry" / "checkpoints" / f"{MODEL}.safetensors"
CPU = torch.device("cpu")


def murmur_value(index: int) -> float:
    """The documented formula, with Python's integers."""
    h = index + 1
    h ^= h >> 16
    h = h * 0x85EBCA6B % 2**32
    h ^= h >> 13
    h = h * 0xC2B2AE35 % 2**32
    h ^= h >> 16
    return (h >> 8) / 2**24


def test_probe_images_follow_the_documented_formula() -> None:
    assert murmur_value(0) == 0x514E28B7 // 256 / 2**24  # fmix32(1), published test value
    channels, height, width = 3, 70, 9
    images = probe_images((channels, height, width))
    assert images.dtype == torch.float32
    assert images.shape == (4, channels, height, width)
    for n, c, y, x in [(0, 0, 0, 0), (0, 2, 69, 8), (1, 1, 5, 6), (2, 0, 33, 7), (3, 2, 65, 8)]:
        side = (1, 4, 16, 64)[n]
        first = ((n * channels + c) * height + y // side * side) * width + x // side * side
        assert images[n, c, y, x].item() == murmur_value(first)
    assert images.min() >= 0
    assert images.max() < 1
    assert images[0].mean().item() == pytest.approx(0.5, abs=0.02)


def net(seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    layers = nn.Sequential(nn.Conv2d(1, 4, 3), nn.GELU(), nn.Flatten(), nn.Linear(4 * 36, 5))
    return layers.eval().requires_grad_(False)


def described(model: nn.Module, **more: Any) -> dict[str, Any]:
    """The metadata that the comparison reads, through JSON as a file would give it."""
    found = {
        "weights": {"state_dict_sha256": state_dict_sha256(model)},
        "probe": probe(model, (1, 8, 8), CPU),
        "versions": {"timm": "1.0.31", "torch": "2.14.1", "python": "3.12.1"},
        **more,
    }
    return json.loads(json.dumps(found))


def test_the_probe_is_what_the_model_gives() -> None:
    model = net()
    logits = torch.tensor(described(model)["probe"]["logits"])
    torch.testing.assert_close(logits, model(probe_images((1, 8, 8))), rtol=1e-5, atol=1e-6)
    assert change(described(model), described(copy.deepcopy(model))) is None
    assert change(described(model), described(model.double().float())) is None


def test_a_changed_weight_is_named() -> None:
    before, model = described(net()), net()
    with torch.no_grad():
        model[0].weight[0, 0, 1, 1] += 0.05
    found = change(before, described(model))
    assert found is not None
    assert found.kind == "weights"
    assert "weights changed: state dict" in found.text
    before.pop("probe")  # a file from before there were probes
    assert change(before, described(model)).kind == "weights"  # type: ignore[union-attr]


def test_changed_code_is_named_with_the_versions() -> None:
    before, model = described(net()), net()
    model[1] = nn.ReLU()
    versions = {"timm": "1.0.32", "torch": "2.14.1", "python": "3.13.0"}
    found = change(before, described(model, versions=versions))
    assert found is not None
    assert found.kind == "code"
    assert found.text.startswith("same weights, other logits: timm 1.0.31 -> 1.0.32;")
    unknown = change(before, described(model))
    assert "the versions of timm and torch did not" in str(unknown)


def test_the_tanh_form_of_gelu_is_seen_and_rounding_is_not() -> None:
    before, model = described(net()), net()
    model[1] = nn.GELU(approximate="tanh")
    assert change(before, described(model)).kind == "code"  # type: ignore[union-attr]
    double = net().double()(probe_images((1, 8, 8)).double())
    exact = {**before, "probe": {"version": 1, "logits": double.tolist()}}
    assert change(before, exact) is None


def test_other_names_of_the_same_tensors_are_not_other_weights() -> None:
    renamed = nn.Sequential(net()).eval()
    found = change(described(net()), described(renamed))
    assert found is not None
    assert found.kind == "names"
    assert "renamed, reordered, or hardly changed" in found.text


def test_a_changed_transform_is_named() -> None:
    before = described(net(), preprocessing={"crop_pct": 0.875, "old": 1, "mean": [0.5]})
    after = described(net(), preprocessing={"crop_pct": 0.95, "new": 2, "mean": [0.5]})
    found = change(before, after)
    assert found is not None
    assert (found.kind, found.text) == (
        "transform",
        "same weights, other evaluation transform: crop_pct 0.875 -> 0.95",
    )


def logits(*rows: list[Any]) -> dict[str, Any]:
    return {"version": 1, "logits": list(rows)}


@pytest.mark.parametrize(
    ("first", "second", "difference"),
    [
        (logits([2.0, -4.0]), logits([2.0, -4.0]), 0.0),
        (logits([2.0, -4.0]), logits([2.1, -4.0]), 0.1 / 4),
        (logits([0.0, 0.0]), logits([0.0, 0.0]), 0.0),
        (logits([0.0, 0.0]), logits([0.0, 1.0]), 1.0),
        (logits([1.0, None]), logits([1.0, None]), 0.0),
        (logits([1.0, None]), logits([1.0, 3.0]), math.inf),
        (logits([1.0, 2.0]), logits([1.0, 2.0, 3.0]), math.inf),
        (logits([1.0]), logits([1.0], [1.0]), math.inf),
        (logits([1.0]), {"version": 2, "logits": [[5.0]]}, None),
        (None, logits([1.0]), None),
        (logits(["x"]), logits([1.0]), None),
        (logits([[1.0]]), logits([1.0]), None),
        ({"version": 1, "logits": "1"}, logits([1.0]), None),
        ({"version": 1, "logits": []}, logits([1.0]), None),
        (logits([True]), logits([1.0]), None),
        ([1], logits([1.0]), None),
    ],
)
def test_logit_difference_by_hand(first: Any, second: Any, difference: float | None) -> None:
    expected = None if difference is None else pytest.approx(difference)
    assert logit_difference(first, second) == expected


def test_hostile_metadata_does_no_harm() -> None:
    now = described(net())
    for junk in (3, "x", [], {"state_dict_sha256": 5}, {"state_dict_sha256": None}):
        before = {"weights": junk, "probe": junk, "preprocessing": junk, "versions": junk}
        assert change(before, now) is None


# ---------------------------------------------------------------- in a run


def evaluate(output: Path, **options: Any) -> pd.DataFrame:
    options = {"protocol": "quick", "attacks": ["pgd-l1"], "output": output, **options}
    return bench.evaluate(MODEL, **options)


def result(folder: Path) -> Path:
    return folder / "quick" / "fashionmnist" / f"{MODEL}.parquet"


@pytest.fixture
def tampered(tmp_path: Path) -> Path:
    """The model's own weights, one value changed."""
    tensors = dict(read_checkpoint(CHECKPOINT).tensors)
    name = next(key for key, value in tensors.items() if value.ndim > 1)
    tensors[name] = tensors[name].clone()
    tensors[name].view(-1)[0] += 0.5
    path = tmp_path / "tampered.safetensors"
    write_checkpoint(path, tensors, {})
    return path


@contextmanager
def other_code() -> Iterator[None]:
    """The same weights in nets whose nonlinearity is another one, as if torch had changed it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.Tensor, "relu", lambda x: nn.functional.leaky_relu(x, 0.1))
        yield


def test_a_result_holds_hash_and_probe(quick: Path, tmp_path: Path) -> None:
    evaluate(tmp_path)
    found = json.loads(pq.read_schema(result(tmp_path)).metadata[b"bench"])
    assert len(found["weights"]["state_dict_sha256"]) == 64
    stored = torch.tensor(found["probe"]["logits"])
    model = bench.load_model(MODEL)
    torch.testing.assert_close(stored, model(probe_images((1, 28, 28))), rtol=1e-4, atol=1e-4)


def test_a_run_with_other_weights_or_code_does_not_go_on_in_a_file(
    quick: Path, tmp_path: Path, tampered: Path
) -> None:
    evaluate(tmp_path)
    with pytest.raises(BenchError, match="was made with weights_sha256 = "):
        evaluate(tmp_path, attacks=["pgd-l2"], weights=tampered)
    evaluate(tmp_path, weights=tampered, overwrite=True)
    evaluate(tmp_path, overwrite=True)
    refused = "was made with another model: same weights, other logits"
    with other_code(), pytest.raises(BenchError, match=refused):
        evaluate(tmp_path, attacks=["pgd-l2"])
    assert set(pq.read_table(result(tmp_path))["attack"].to_pylist()) == {"pgd-l1"}


def test_an_unfinished_run_is_not_finished_by_another_model(
    quick: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("bench.run.plan.Plan.finish", stop)
        with pytest.raises(KeyboardInterrupt):
            evaluate(tmp_path)
    assert not result(tmp_path).exists()
    with other_code(), pytest.raises(BenchError, match="same weights, other logits"):
        evaluate(tmp_path)
    assert len(evaluate(tmp_path)) == 48


@pytest.mark.usefixtures("quick")
def test_a_limited_run_is_compared_with_results_and_submissions(
    tmp_path: Path, tampered: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    evaluate(Path("submissions"))
    evaluate(Path("out"), limit=2)  # the same model: no warning, which would be an error here
    with pytest.warns(BenchWarning, match=r"not the model of submissions/.*: weights changed"):
        evaluate(Path("out"), limit=2, weights=tampered, overwrite=True)
    Path("submissions").rename("full")
    with pytest.warns(BenchWarning, match=r"not the model of full/.*: weights changed"):
        evaluate(Path("full"), limit=2, weights=tampered)


def test_verify_names_changed_code(quick: Path, tmp_path: Path) -> None:
    with other_code():
        evaluate(tmp_path)
    with pytest.warns(BenchWarning, match="same weights, other logits: the model's code changed"):
        found = bench.verify(result(tmp_path), samples=4, secret="s", who="test")
    assert found.record.verdict == "contradicted"
