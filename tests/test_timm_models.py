"""timm models of any family, size, channels and class count: as plain timm, or one clear line.

The truth is timm itself: `timm.create_model`, `resolve_data_config` and `create_transform` on the
same files, without this project.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pyarrow.parquet as pq
import pytest
import timm
import torch
from fake_hub import serve
from imagenet_cases import RESNET, VIT, jpegs, photos, small_imagenet, write_folder
from safetensors.torch import save_file
from torch import Tensor, nn

import bench
from bench.cli.main import call
from bench.data.base import load_batch
from bench.data.load import load_images
from bench.entries import registry
from bench.errors import BenchError
from bench.models.checkpoint import load_weights, read_checkpoint, write_checkpoint
from bench.models.load import load

pytestmark = pytest.mark.usefixtures("caro_ranks")

COUNT = 8
CPU = torch.device("cpu")


def plain_timm(tag: str, seed: int = 0, **options: Any) -> nn.Module:
    """timm's own model; the seed is the one of `--weights random`."""
    torch.manual_seed(seed)
    model: nn.Module = timm.create_model(tag, pretrained=False, **options)
    return model.eval().requires_grad_(False)


def plain_logits(model: nn.Module, files: list[Path], **config: Any) -> Tensor:
    """Logits with timm's own evaluation transform, normalisation included.

    Without a size of their own, images come at timm's test size.
    """
    settings = timm.data.resolve_data_config(config, model=model, use_test_size=not config)
    transform = timm.data.create_transform(**settings, is_training=False)
    images = [transform(PIL.Image.open(file).convert("RGB")) for file in files]
    with torch.no_grad():
        logits: Tensor = model(torch.stack(images))
    return logits


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A registry with an ImageNet of eight JPEGs, and these as class folders in `data`."""
    root = tmp_path_factory.mktemp("imagenet")
    small_imagenet(root / "registry", COUNT)
    write_folder(root / "data", jpegs(photos(COUNT)), [0, 7, 7, 999, 500, 65, 1, 2])
    return root


@pytest.fixture
def imagenet(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make that registry the one in use."""
    monkeypatch.setenv("BENCH_REGISTRY", str(folder / "registry"))
    return folder


def files_of(root: Path) -> list[Path]:
    return sorted((root / "data").rglob("*.JPEG"), key=lambda path: path.name)


def our_logits(model: str, root: Path, weights: str | Path = "random") -> Tensor:
    loaded = load(registry.model(model), weights, CPU)
    images = load_images(
        registry.dataset("imagenet"), "test", data_dir=root / "data",
        registry_dir=registry.registry_dir(),
    )  # fmt: skip
    unit = load_batch(images, range(len(images)), loaded.transform)
    assert unit.shape[1:] == loaded.input_shape
    assert unit.min() >= 0
    assert unit.max() <= 1
    logits: Tensor = loaded.module(unit)
    return logits


def entry_file(folder: Path, text: str, name: str = "theirs") -> Path:
    """Write an entry's TOML file."""
    path = folder / f"{name}.toml"
    path.write_text(f'name = "{name}"\nfamily = "any"\ntype = "Other"\n{text}\n')
    return path


def agree(ours: Tensor, theirs: Tensor) -> None:
    """Equal but for float32 rounding of (pixel / 255 - mean) / std."""
    assert ours.shape == theirs.shape
    scale = float(theirs.abs().max())
    assert scale > 0
    assert torch.allclose(ours, theirs, atol=1e-4 * scale, rtol=0)


@pytest.mark.parametrize(
    "tag",
    [
        VIT,
        RESNET,
        "test_convnext.r160_in1k",
        "test_efficientnet.r160_in1k",
        "test_nfnet.r160_in1k",
        "mobilenetv4_conv_small.e2400_r224_in1k",
        "resnet10t.c3_in1k",
        "mobilenetv3_small_050.lamb_in1k",
    ],
)
def test_logits_are_plain_timms_on_the_same_files(tag: str, imagenet: Path) -> None:
    ours, theirs = our_logits(tag, imagenet), plain_logits(plain_timm(tag), files_of(imagenet))
    agree(ours, theirs)
    wrong = plain_logits(plain_timm(tag, seed=1), files_of(imagenet))
    assert not torch.allclose(ours, wrong, atol=1e-4 * float(theirs.abs().max()), rtol=0)


@pytest.mark.parametrize(("tag", "fixed"), [(VIT, True), (RESNET, False)])
@pytest.mark.parametrize("size", [256, 288, 384])
def test_other_input_sizes_are_timms(
    tag: str, fixed: bool, size: int, imagenet: Path, tmp_path: Path
) -> None:
    text = f'source = "timm"\ntag = "{tag}"\ndataset = "imagenet"\ninput_size = {size}'
    ours = our_logits(str(entry_file(tmp_path, text)), imagenet)
    model = plain_timm(tag, **({"img_size": size} if fixed else {}))
    agree(ours, plain_logits(model, files_of(imagenet), input_size=(3, size, size)))


@pytest.mark.parametrize(("tag", "fixed"), [(VIT, True), (RESNET, False)])
def test_images_that_are_not_square_run_through(
    tag: str, fixed: bool, imagenet: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from bench.models import timm_source

    real = timm_source.data_config
    wide = (3, 96, 160)
    monkeypatch.setattr(
        timm_source, "data_config", lambda *some: {**real(*some), "input_size": wide}
    )
    ours, files = our_logits(tag, imagenet), files_of(imagenet)
    model = plain_timm(tag, **({"img_size": wide[1:]} if fixed else {}))
    agree(ours, plain_logits(model, files, input_size=wide))
    classes = ours.argmax(1).tolist()
    data = write_folder(tmp_path / "data", {f.name: f.read_bytes() for f in files}, classes)
    rows = bench.evaluate(
        tag, weights="random", data_dir=data, protocol="short", limit=2, attacks=["pgd-l2"],
        output=tmp_path,
    )  # fmt: skip
    assert rows["clean_correct"].all()
    assert rows["image_rfc"].between(0, 2**0.5).all()
    (file,) = tmp_path.rglob(f"{tag}@random.parquet")
    assert json.loads(pq.read_schema(file).metadata[b"bench"])["input_shape"] == [3, 96, 160]


@pytest.mark.parametrize(
    ("tag", "dataset", "options"),
    [
        (RESNET, "fashionmnist", {"in_chans": 1, "num_classes": 10}),
        ("test_efficientnet.r160_in1k", "fashionmnist", {"in_chans": 1, "num_classes": 10}),
        (RESNET, "cifar10", {"num_classes": 10}),
        (VIT, "cifar10", {"num_classes": 10, "img_size": 32}),
    ],
)
def test_gray_models_and_other_class_counts_are_timms(
    tag: str, dataset: str, options: dict[str, Any], tmp_path: Path
) -> None:
    path = entry_file(tmp_path, f'source = "checkpoint"\ntag = "{tag}"\ndataset = "{dataset}"')
    theirs = plain_timm(tag, seed=5, **options)
    save_file(theirs.state_dict(), tmp_path / "own.safetensors")
    loaded = load(registry.model(str(path)), tmp_path / "own.safetensors", CPU)
    assert loaded.input_shape == ((1, 28, 28) if dataset == "fashionmnist" else (3, 32, 32))
    images = torch.rand(3, *loaded.input_shape, generator=torch.Generator().manual_seed(0))
    logits = loaded.module(images)
    assert logits.shape == (3, 10)
    agree(logits, theirs(images))


@pytest.mark.slow
def test_a_gray_timm_model_runs_all_attacks(
    quick: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = f'source = "checkpoint"\ntag = "{RESNET}"\ndataset = "fashionmnist"'
    run = ["eval", "-m", str(entry_file(tmp_path, text)), "--weights", "random", "--data",
           "samples", "--limit", "3", "--protocol", "quick", "-o", str(tmp_path)]  # fmt: skip
    assert call(run) == 0
    assert "CONTROL" in capsys.readouterr().out


# ---------------------------------------------------------------- what does not fit


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """Return the one line of a call that ends with exit code 2."""
    assert call(["eval", *arguments]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    (line,) = err.splitlines()
    return line


@pytest.mark.parametrize(
    ("tag", "found", "hint"),
    [
        ("vit_tiny_patch16_224.augreg_in21k", "21843 classes", "augreg_in21k_ft_in1k"),
        ("vit_small_patch16_224.dino", "no read-out", "augreg_in1k"),
        ("convnext_tiny.fb_in22k", "21841 classes", "convnext_tiny.fb_in1k"),
    ],
)
def test_weights_of_other_classes_are_refused_before_the_download(
    tag: str, found: str, hint: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    line = refused(capsys, "-m", tag, "--data", "samples", "-o", str(tmp_path))
    assert f"expected weights with 1000 classes, got {found}, in timm's {tag!r}" in line
    assert hint in line


def test_a_weights_file_of_other_classes_is_refused(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    save_file(plain_timm(VIT, num_classes=12).state_dict(), tmp_path / "w.safetensors")
    line = refused(
        capsys, "-m", VIT, "--weights", str(tmp_path / "w.safetensors"), "--data", "samples",
        "-o", str(tmp_path),
    )  # fmt: skip
    assert "expected shape (1000, 64) for the entry 'head.weight', got (12, 64)" in line


def test_stored_images_are_not_resized_in_silence(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    text = f'source = "checkpoint"\ntag = "{RESNET}"\ndataset = "fashionmnist"\ninput_size = 32'
    run = ["-m", str(entry_file(tmp_path, text)), "--weights", "random", "-o", str(tmp_path)]
    assert "expected input_size = 28 (images of fashionmnist are used as stored), got 32" in (
        refused(capsys, *run)
    )


@pytest.mark.parametrize("arch", ["coat_lite_tiny", "test_convnext"])
def test_a_size_that_the_architecture_can_not_have_is_one_line(
    arch: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    text = f'source = "checkpoint"\ntag = "{arch}"\ndataset = "fashionmnist"'
    run = ["-m", str(entry_file(tmp_path, text)), "--weights", "random", "-o", str(tmp_path)]
    line = refused(capsys, *run, "--limit", "2")
    assert "1 x 28 x 28 images, got " in line


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ("in_chans=3, num_classes=10", "expected a model that takes 1 x 28 x 28 images, got"),
        ("in_chans=1, num_classes=7", "with 10 classes, got (1, 7)"),
    ],
)
def test_a_factory_that_does_not_fit_is_one_line(
    options: str,
    said: str,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    name = f"factory_{abs(hash(options))}"
    (tmp_path / f"{name}.py").write_text(
        f"import timm\ndef make():\n    return timm.create_model('test_resnet', {options})\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    text = f'source = "factory"\nfactory = "{name}:make"\ndataset = "fashionmnist"'
    run = ["-m", str(entry_file(tmp_path, text)), "--trust", "-o", str(tmp_path / "out")]
    assert said in refused(capsys, *run)


def test_a_factory_gets_timms_default_transform_and_says_so(
    imagenet: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "factory_imagenet.py").write_text(
        "import timm\ndef make():\n    return timm.create_model('test_resnet')\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    text = 'source = "factory"\nfactory = "factory_imagenet:make"\ndataset = "imagenet"'
    loaded = load(registry.model(str(entry_file(tmp_path, text))), "random", CPU, trust=True)
    assert loaded.preprocessing["interpolation"] == "bicubic"
    assert loaded.preprocessing["crop_pct"] == 0.875
    assert loaded.preprocessing["mean"] is None
    transform = timm.data.create_transform(
        (3, 224, 224), interpolation="bicubic", crop_pct=0.875, normalize=False
    )
    assert loaded.transform is not None
    image = PIL.Image.open(files_of(imagenet)[0])
    torch.testing.assert_close(loaded.transform(image), transform(image).float() / 255)


# ---------------------------------------------------------------- tied tensors


class Tied(nn.Module):
    """Two names of one tensor, as CoaT has them."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(3, 3)
        self.second = self.first

    def forward(self, x: Tensor) -> Tensor:
        return self.second(self.first(x))


def test_tied_tensors_are_written_and_read(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model, other = Tied(), Tied()
    x = torch.rand(2, 3)
    assert not torch.equal(model(x), other(x))
    write_checkpoint(tmp_path / "w.safetensors", model.state_dict(), {})
    tensors = read_checkpoint(tmp_path / "w.safetensors").tensors
    assert len(tensors) == 4
    load_weights(other, tensors, "w")
    assert torch.equal(model(x), other(x))
    for kept in ("first", "second"):  # as safetensors' save_model writes them
        other = Tied()
        load_weights(other, {k: v for k, v in tensors.items() if k.startswith(kept)}, "w")
        assert torch.equal(model(x), other(x))
    tensors["second.weight"] = tensors["second.weight"] + 1
    with pytest.raises(BenchError, match=r"one value for 'first.weight' and 'second.weight'"):
        load_weights(Tied(), tensors, "w")
    with pytest.raises(BenchError, match=r"expected the entry 'first.weight', found none"):
        load_weights(Tied(), {"first.bias": tensors["first.bias"]}, "w")


# ---------------------------------------------------------------- through the command line


@pytest.mark.slow
@pytest.mark.parametrize("tag", [VIT, "test_convnext.r160_in1k"])
def test_all_five_attacks_run_on_random_weights(
    tag: str, imagenet: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = files_of(imagenet)
    classes = plain_logits(plain_timm(tag), files).argmax(1).tolist()
    assert len(set(classes)) > 1, "Brendel-Bethge starts from an image of another class"
    data = write_folder(tmp_path / "data", {f.name: f.read_bytes() for f in files}, classes)
    run = ["eval", "-m", tag, "--weights", "random", "--protocol", "short", "--data-dir",
           str(data), "--limit", "2", "-o", str(tmp_path / "out")]  # fmt: skip
    assert call(run) == 0
    assert "PARTIAL" in capsys.readouterr().out
    (file,) = (tmp_path / "out").rglob(f"{tag}@random.parquet")
    rows = pq.read_table(file).to_pandas()
    assert len(rows) == 10
    assert rows["attack"].nunique() == 5
    assert rows["clean_pred"].tolist() == classes[:2] * 5
    minimal = rows[rows["attack"].isin(["bb-l2", "bb-linf"])]
    assert minimal["success"].all()
    assert minimal["rfc"].between(0.02, 2**0.5).all()
    assert np.isfinite(rows["l2"]).all()


@pytest.mark.slow
def test_weights_come_from_the_hub_once_and_then_from_its_cache(tmp_path: Path) -> None:
    theirs = plain_timm(VIT, seed=3)
    repository = tmp_path / "hub" / "timm" / VIT
    repository.mkdir(parents=True)
    save_file(theirs.state_dict(), repository / "model.safetensors")
    (repository / "config.json").write_text("{}")
    script = (
        "import bench, torch\n"
        f"model = bench.load_model({VIT!r})\n"
        "print(model(torch.full((1, 3, 160, 160), 0.25)).sum().item())\n"
    )
    environment = {**os.environ, "HF_HOME": str(tmp_path / "home"), "no_proxy": "127.0.0.1"}

    def run(address: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-c", script], env={**environment, "HF_ENDPOINT": address},
            capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip

    with serve(tmp_path / "hub", "a" * 40) as (address, asked):
        first = run(address)
        assert first.returncode == 0, first.stderr
        assert any("model.safetensors" in path for path in asked)
        before = len(asked)
        assert run(address).stdout == first.stdout
        assert len(asked) == before, "what is in the cache needs no network"
    again = run(address)  # nobody is there any more
    assert again.stdout == first.stdout
    mean = torch.tensor(theirs.pretrained_cfg["mean"])[:, None, None]  # type: ignore[index]
    std = torch.tensor(theirs.pretrained_cfg["std"])[:, None, None]  # type: ignore[index]
    with torch.no_grad():
        expected = theirs(((torch.full((3, 160, 160), 0.25) - mean) / std)[None]).sum().item()
    assert float(first.stdout) == pytest.approx(expected, abs=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize("data", [["--data", "samples"], []], ids=["weights", "images"])
def test_a_hub_that_does_not_answer_is_one_line_at_once(data: list[str], tmp_path: Path) -> None:
    environment = {
        **os.environ, "HF_ENDPOINT": "http://127.0.0.1:9", "HF_HOME": str(tmp_path),
        "no_proxy": "127.0.0.1",
    }  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-m", "bench", "eval", "-m", "resnet50d", *data, "-o", str(tmp_path)],
        env=environment, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()  # the hub's own client would say "Retrying in 1s" ten times
    assert "Connection refused" in line
    assert "--weights PATH" in line if data else "--data-dir" in line
