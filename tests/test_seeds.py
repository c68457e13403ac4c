"""Training seeds of an entry, and linear nets that are carried as the one affine map they are."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch
from conftest import MODEL

import bench
from bench.entries import registry
from bench.entries.model import ModelEntry
from bench.errors import BenchError
from bench.models.checkpoint import write_checkpoint
from bench.models.collapse import AffineNet
from bench.models.load import load
from bench.models.nets import build_net
from bench.results.read import file_sha256

pytestmark = pytest.mark.usefixtures("caro_ranks")

LINEAR = "fashionmnist-local-conv"
CPU = torch.device("cpu")


@pytest.fixture
def home(quick_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A registry of our own that may be written to."""
    folder = tmp_path / "registry"
    shutil.copytree(quick_folder, folder)
    for entry in folder.glob("models/fashionmnist/*.toml"):
        entry.write_text(entry.read_text().split("[[seeds]]")[0])  # those of the test alone
    monkeypatch.setenv("BENCH_REGISTRY", str(folder))
    return folder


def with_seed(home: Path, name: str, *lines: str) -> None:
    path = home / "models" / "fashionmnist" / f"{name}.toml"
    path.write_text(path.read_text() + "\n[[seeds]]\n" + "\n".join(lines) + "\n")


def test_a_seed_is_a_model_name_everywhere(home: Path, tmp_path: Path) -> None:
    path = home / "models" / "fashionmnist" / f"{LINEAR}.toml"
    entry = registry.read_entry(path, ModelEntry)  # read_entry remembers nothing
    assert entry.net is not None
    net = build_net(entry.net, input_shape=(1, 28, 28), classes=10, seed=5)
    file = home / "checkpoints" / f"{LINEAR}@seed5.safetensors"
    digest = write_checkpoint(file, net.state_dict(), {"seed": 5})
    carried = ("seed = 5", f'sha256 = "{digest}"', "test_accuracy = 10.0", "epochs = 1")
    with_seed(home, LINEAR, *carried, f'file = "checkpoints/{file.name}"')
    found = registry.model(f"{LINEAR}@seed5")
    assert found.name == f"{LINEAR}@seed5"
    assert found.weights is not None
    assert (found.weights.sha256, found.net) == (digest, entry.net)
    assert registry.model(f"{LINEAR}@seed0") == registry.model(LINEAR)
    assert [e.name for e in registry.select_models([f"{LINEAR}@*"])] == [found.name]
    loaded = bench.load_model(found.name)
    images = torch.rand(3, 1, 28, 28)
    torch.testing.assert_close(loaded(images), net.eval()(images), rtol=1e-4, atol=1e-5)
    rows = bench.evaluate(found.name, protocol="quick", attacks=["pgd-l2"], output=tmp_path / "r")
    assert set(rows["model"]) == {found.name}
    assert (tmp_path / "r" / "quick" / "fashionmnist" / f"{found.name}.parquet").is_file()


def test_a_seed_that_is_not_carried_says_what_trains_it(home: Path) -> None:
    digest = "0" * 64
    stated = ("seed = 1", f'sha256 = "{digest}"', "test_accuracy = 80.0", "epochs = 16")
    with_seed(home, MODEL, *stated, 'command = "bench train -m x --seed 1 --until-lr .01"')
    with pytest.raises(
        BenchError, match=r"run `bench train -m x --seed 1 --until-lr \.01`"
    ) as told:
        bench.load_model(f"{MODEL}@seed1")
    assert "\n" not in str(told.value)
    with pytest.raises(BenchError, match=r"lists \(1\), found 7"):
        registry.model(f"{MODEL}@seed7")
    with pytest.raises(BenchError, match="no further ones"):
        registry.model(f"{LINEAR}@seed7")


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (("seed = 1",), "seeds.0.sha256, seeds.0.test_accuracy, seeds.0.epochs: fields required"),
        (
            ('sha256 = "x"',),
            "seeds.0.seed, seeds.0.test_accuracy, seeds.0.epochs: fields required (and 1 ",
        ),
        ((), "needs the key file, or the command that trains it"),
        (('file = "a"', "[[seeds]]", 'file = "b"'), "a training seed may stand there once"),
    ],
)
def test_wrong_seeds_are_named(home: Path, lines: tuple[str, ...], message: str) -> None:
    whole = ("seed = 1", f'sha256 = "{"0" * 64}"', "test_accuracy = 80.0", "epochs = 16")
    full = [part for line in lines for part in ((line, *whole) if line[0] == "[" else (line,))]
    with_seed(home, MODEL, *(full if "required" in message else (*whole, *full)))
    path = home / "models" / "fashionmnist" / f"{MODEL}.toml"
    with pytest.raises(BenchError) as told:
        registry.read_entry(path, ModelEntry)
    assert message in str(told.value)


def test_a_linear_net_may_be_carried_as_one_affine_map(tmp_path: Path) -> None:
    entry = registry.model(LINEAR)
    full = load(entry, "default", CPU)
    assert isinstance(full.module, AffineNet)
    path = tmp_path / "map.safetensors"
    digest = write_checkpoint(path, full.module.state_dict(), {})
    carried = load(entry, path, CPU)
    assert isinstance(carried.module, AffineNet)
    assert path.stat().st_size < 40_000
    assert carried.weights.sha256 == digest == file_sha256(path)
    assert carried.n_params == full.n_params
    images = torch.rand(4, 1, 28, 28)
    assert torch.equal(carried.module(images), full.module(images))
    assert carried.module.weight.shape == (10, 784)


def test_an_affine_map_is_no_weights_of_another_net(tmp_path: Path) -> None:
    path = tmp_path / "map.safetensors"
    write_checkpoint(path, AffineNet.empty((1, 28, 28), 10).state_dict(), {})
    with pytest.raises(BenchError, match="the weights are of another model"):
        load(registry.model(MODEL), path, CPU)
    write_checkpoint(path, AffineNet.empty((1, 8, 8), 10).state_dict(), {})
    with pytest.raises(BenchError, match=r"expected shape \(10, 784\)"):
        load(registry.model(LINEAR), path, CPU)
