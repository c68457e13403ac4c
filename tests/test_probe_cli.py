"""`bench probe transfer` and `bench.probe_transfer`: files, metadata, errors, no network."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import bench
from bench.cli.main import call
from bench.entries import registry
from bench.entries.model import ModelEntry
from bench.errors import BenchError
from bench.models import preprocessing
from bench.results.probes import TRANSFER, read
from bench.results.transform import transform_text

NET = "fashionmnist-local-conv-relu"
SMALL = "96x72"


@pytest.fixture
def no_network_no_model(monkeypatch: pytest.MonkeyPatch) -> None:
    """Building a model or opening a connection fails."""

    def refuse(*arguments: object, **named: object) -> None:
        raise AssertionError(f"not needed for a transform: {arguments} {named}")

    import timm
    import torch

    monkeypatch.setattr(timm, "create_model", refuse)
    for layer in (torch.nn.Linear, torch.nn.Conv2d):
        monkeypatch.setattr(layer, "__init__", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(socket.socket, "connect", refuse)


@pytest.fixture
def brief(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fewer sinusoids and noise images, so that the real transforms are quick."""
    monkeypatch.setattr("bench.probes.transfer.MAX_RADII", 6)
    monkeypatch.setattr("bench.probes.transfer.MIN_RADII", 6)
    monkeypatch.setattr("bench.probes.noise.PLANES", 6)
    monkeypatch.setattr("bench.probes.noise.MOST_PLANES", 6)


@pytest.mark.usefixtures("brief")
def test_files_table_and_metadata(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["probe", "transfer", "-m", "vit_base_patch16_224", "--input-size", SMALL]
    assert call([*arguments, "--seed", "5", "-o", str(tmp_path)]) == 0
    shown = capsys.readouterr()
    assert "resize 248 bicubic, crop 224; 96x72 -> 330x248 -> 224x224" in shown.out
    assert "\x1b" not in shown.out
    folder = tmp_path / "probes" / "imagenet"
    names = [f"vit_base_patch16_224.transfer.{kind}" for kind in ("parquet", "png", "svg")]
    assert sorted(p.name for p in folder.iterdir()) == names
    assert (folder / names[1]).read_bytes().startswith(b"\x89PNG")
    assert b"<svg" in (folder / names[2]).read_bytes()
    rows, metadata = read(folder / names[0])
    assert rows.schema.remove_metadata() == TRANSFER
    wanted = {
        "model": "vit_base_patch16_224", "dataset": "imagenet", "seed": 5, "native_size": 224,
        "transform": "resize 248 bicubic, crop 224", "input_size": [96, 72], "resized": [330, 248],
        "output_size": [224, 224], "probe": "transfer",
    }  # fmt: skip
    assert {key: metadata[key] for key in wanted} == wanted
    assert metadata["preprocessing"]["crop_pct"] == 0.9
    assert metadata["versions"]["pillow"]
    assert metadata["versions"]["timm"]
    frame = rows.to_pandas()
    assert set(frame["signal"]) == {"sinusoid", "noise"}
    assert set(frame["arithmetic"]) == {"uint8", "float32"}
    sinusoids = frame[frame["signal"] == "sinusoid"]
    assert sinusoids["power"].isna().all()
    assert sinusoids["gain"].between(0, 1.05).all()


@pytest.mark.usefixtures("brief", "no_network_no_model")
@pytest.mark.parametrize("model", ["tf_efficientnet_lite0.in1k", "resnet18", "repvgg_b3"])
def test_neither_weights_nor_network_nor_a_model_is_needed(model: str) -> None:
    rows = bench.probe_transfer(model, input_size=(96, 72), output=None)
    assert not rows["aliased"].any()  # it is enlarged
    assert len(rows[~rows["aliased"].fillna(True)]) > 100


@pytest.mark.usefixtures("brief", "no_network_no_model")
def test_a_data_set_without_a_transform_is_the_identity(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(["probe", "transfer", "-m", NET, "-o", str(tmp_path)]) == 0
    shown = capsys.readouterr()
    assert f"{NET}: identity: images of FashionMNIST are used as stored, 28x28" in shown.out
    rows, metadata = read(tmp_path / "probes" / "fashionmnist" / f"{NET}.transfer.parquet")
    assert metadata["transform"] == "none"
    for frame in (rows.to_pandas(), bench.probe_transfer("svhn-full-conv", output=None)):
        assert set(frame.loc[frame["signal"] == "sinusoid", "gain"]) == {1.0}


@pytest.mark.usefixtures("brief")
def test_a_pattern_probes_each_of_its_models(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("bench.probes.run.write", lambda found, output: [])
    assert call(["probe", "transfer", "-m", "cifar10-full-c*", "-o", str(tmp_path)]) == 0
    shown = capsys.readouterr()
    names = ("cifar10-full-conv", "cifar10-full-conv-relu")
    assert all(f"\n{name}: identity" in shown.out for name in names)
    assert shown.err == "[1/2] cifar10-full-conv\n[2/2] cifar10-full-conv-relu\n"


@pytest.mark.usefixtures("brief", "no_network_no_model")
def test_a_factory_is_not_run_for_its_transform(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(
        'name = "mine"\nsource = "factory"\nfactory = "no_such_package:make"\n'
        'dataset = "imagenet"\nfamily = "mine"\ntype = "Other"\n'
    )
    rows = bench.probe_transfer(str(path), input_size=(96, 72), output=tmp_path)
    assert len(rows) > 100
    metadata = read(tmp_path / "probes" / "imagenet" / "mine.transfer.parquet")[1]
    assert metadata["transform"] == "resize 256 bicubic, crop 224"


@pytest.mark.usefixtures("brief")
def test_the_same_seed_gives_the_same_rows() -> None:
    first, again = (bench.probe_transfer(NET, output=None) for _ in range(2))
    other = bench.probe_transfer(NET, seed=1, output=None)
    pd.testing.assert_frame_equal(first, again)
    assert not first["phase"].dropna().isin(other["phase"].dropna()).any()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["-m", "resnet50dd"], "did you mean 'resnet50d'"),
        (["-m", "resnet50d.nosuch"], "unknown tag 'nosuch'"),
        (["-m", "nothing-*"], "matches no model"),
        (["-m", "resnet50d", "-d", "mnist"], "expected --dataset imagenet"),
        (["-m", "resnet50d", "--input-size", "500"], "WIDTHxHEIGHT"),
        (["-m", "resnet50d", "--input-size", "0x0"], "sides from 16 to 4096"),
        (["-m", "resnet50d", "--input-size", "-5x5"], "WIDTHxHEIGHT"),
        (["-m", "resnet50d", "--input-size", "9000x9000"], "sides from 16 to 4096"),
        (["-m", "resnet50d", "--input-size", "4000x20"], "at most 8 to 1"),
        (["-m", NET, "--input-size", "500x375"], "expected --input-size 28x28"),
        (["-m", NET, "--seed", "-1"], "--seed of at least 0"),
        ([], "--model"),
    ],
)
def test_what_the_user_can_fix_is_one_line(
    arguments: list[str], words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(["probe", "transfer", *arguments, "-o", str(tmp_path)]) == 2
    shown = capsys.readouterr()
    assert words in shown.err
    assert shown.err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_a_bad_model_in_a_list_stops_before_anything_is_measured(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(["probe", "transfer", "-m", NET, "-m", "nosuch", "-o", str(tmp_path)]) == 2
    assert list(tmp_path.iterdir()) == []


def test_reading_another_file_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "x.parquet").write_bytes(b"PAR1")
    with pytest.raises(BenchError, match="expected a probe's result"):
        read(tmp_path / "x.parquet")


# ---------------------------------------------------------------- the transform in words


def imagenet() -> list[ModelEntry]:
    found = [registry.model(name) for name in registry.model_names()]
    extra = ("convnext_tiny.fb_in1k", "swinv2_tiny_window16_256.ms_in1k", "beit_base_patch16_384")
    found = [entry for entry in found if entry.dataset == "imagenet"]
    return found + [registry.timm_entry(tag) for tag in extra]


@pytest.mark.parametrize("entry", imagenet(), ids=lambda e: e.name)
def test_the_words_are_what_timm_does(entry: ModelEntry) -> None:
    """Against the steps of timm's own transform, which does not come from these words."""
    import timm
    from torchvision.transforms import CenterCrop, Resize

    dataset = registry.dataset("imagenet")
    settings = preprocessing.settings(entry, dataset)
    steps = timm.data.create_transform(**settings, is_training=False).transforms
    text = transform_text(settings, dataset.transform)
    assert isinstance(steps[0], Resize)
    assert isinstance(steps[1], CenterCrop)
    size, method = steps[0].size, steps[0].interpolation.value
    crop = steps[1].size[0]
    assert text == (
        f"resize {size} {method}, crop {crop}"
        if isinstance(size, int)
        else f"squash to {size[0]}x{size[1]} {method}, crop {crop}"
    )


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"input_size": [3, 224, 224]}, "resize 256 bilinear, crop 224"),
        (
            {"input_size": [3, 256, 320], "crop_pct": 1.0, "interpolation": "lanczos"},
            "resize to cover 256x320 lanczos, crop 256x320",
        ),
        (
            {"input_size": [3, 224, 224], "crop_mode": "border", "interpolation": "bicubic"},
            "resize to fit into 256x256 bicubic, crop or pad to 224",
        ),
        ({"input_size": [3, 224, 224], "crop_mode": "other"}, None),
        ({"input_size": [3, 224, 224], "crop_mode": ["center"]}, None),
        ({"input_size": [3, 224, 224], "interpolation": "<b>"}, None),
        ({"input_size": [3, 224, 224], "crop_pct": "1"}, None),
        ({"input_size": [3, 224]}, None),
        ({"input_size": [3, "a", 4]}, None),
        ({}, None),
        (None, None),
    ],
)
def test_words_of_settings_from_anywhere(settings: Any, text: str | None) -> None:
    assert transform_text(settings, True) == text
    assert transform_text(settings, False) == "none"
