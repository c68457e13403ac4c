"""Every entry of the registry, and what is said of broken ones."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.entries import registry
from bench.entries.attacks import AttackSpec
from bench.entries.dataset import DatasetEntry
from bench.entries.model import ModelEntry
from bench.entries.protocol import Protocol
from bench.errors import BenchError

HASH = "01a417d358c09f7367d5d2228956cfa3cc91950026d458ab1eb5eeec970c1151"
"""Of caro2024 on FashionMNIST, as the first submissions state it."""
SMALL = ("mnist", "fashionmnist", "svhn", "cifar10", "cifar100")
FAMILIES = ("fully-connected", "full-conv", "locally-connected", "local-conv")

TABLE_4 = {  # Supplementary Table 4, top-1 and top-5 in percent
    "vit_base_patch8_224": (85.794, 97.794),
    "vit_base_patch16_224": (84.528, 97.294),
    "vit_large_r50_s32_224": (84.424, 97.166),
    "coat_lite_small": (82.304, 95.848),
    "convit_base": (82.286, 95.938),
    "resmlp_36_distilled_224": (81.154, 95.488),
    "vit_base_patch32_224": (80.722, 95.566),
    "resnet50d": (80.522, 95.162),
    "repvgg_b3": (80.496, 95.264),
    "tf_efficientnet_b0_ns": (78.658, 94.378),
    "gmixer_24_224": (78.036, 93.670),
    "mixer_b16_224": (76.612, 92.228),
}


@pytest.mark.parametrize("name", registry.model_names())
def test_every_model_entry_is_valid(name: str) -> None:
    entry = registry.model(name)
    dataset = registry.dataset(entry.dataset)
    if entry.source == "net":
        assert entry.net is not None
        expected = (
            f"{entry.dataset}-{'deep-' if entry.net.deep else ''}{entry.net.family}"
            f"{'-relu' if entry.net.relu else ''}"
        )
        assert name == expected
        assert entry.recipe is not None
        assert entry.recipe.batch_size == (100 if "mnist" in entry.dataset else 128)
        assert entry.recipe.learning_rate in (0.01, 0.002)
    if entry.weights is not None and entry.weights.file is not None:
        assert (registry.registry_dir() / entry.weights.file).is_file()
        assert entry.weights.sha256 is not None
        assert entry.weights.test_accuracy is not None
    assert entry.paper is not None
    assert entry.paper.top1 > 100 / len(dataset.classes)


def test_the_eighty_nets_are_there() -> None:
    nets = {
        f"{dataset}-{deep}{family}{relu}"
        for dataset in SMALL
        for deep in ("", "deep-")
        for family in FAMILIES
        for relu in ("", "-relu")
    }
    assert len(nets) == 80
    assert nets <= set(registry.model_names())


def test_imagenet_models_state_table_4() -> None:
    for name, (top1, top5) in TABLE_4.items():
        entry = registry.model(name)
        assert entry.paper is not None
        assert (entry.paper.top1, entry.paper.top5) == (top1, top5)
        assert entry.tag is not None
        assert "." in entry.tag


@pytest.mark.parametrize("name", registry.dataset_names())
def test_every_dataset_entry_is_valid(name: str) -> None:
    entry = registry.dataset(name)
    counts = {"mnist": 10, "fashionmnist": 10, "svhn": 10, "cifar10": 10, "cifar100": 100}
    assert len(entry.classes) == counts.get(entry.like or name, 1000)
    assert entry.native_size > 0
    assert entry.chance == pytest.approx(1 / len(entry.classes))


@pytest.mark.parametrize("name", registry.protocol_names())
def test_every_protocol_has_table_10(name: str) -> None:
    protocol = registry.protocol(name)
    steps = {k: v.steps for k, v in protocol.attacks.items()}
    assert steps == {
        "pgd-linf": 1000,
        "pgd-l2": 1000,
        "pgd-l1": 200,
        "bb-linf": 1000,
        "bb-l2": 1000,
    }
    assert protocol.attacks["pgd-linf"].budget(784) == pytest.approx(8 / 255)
    assert protocol.attacks["pgd-l2"].budget(784) == 2.0
    assert protocol.sample_ids("fashionmnist") == tuple(range(1000))
    chosen = protocol.sample_ids("imagenet")
    assert len(set(chosen)) == 1000
    assert min(chosen) >= 0
    assert max(chosen) < 50000


def test_readings_of_step_and_budget() -> None:
    caro = registry.protocol("caro2024").attacks
    assert caro["pgd-l1"].budget(3 * 32 * 32) == pytest.approx(0.1 * 3072)
    assert caro["pgd-linf"].step(784) == pytest.approx(0.1 * 8 / 255)
    absolute = registry.protocol("caro2024-absstep").attacks
    assert absolute["pgd-linf"].step(784) == pytest.approx(0.1)
    summed = registry.protocol("caro2024-l1sum").attacks
    assert summed["pgd-l1"].budget(3 * 32 * 32) == pytest.approx(0.1)


def test_nearest_starts_are_off_and_not_in_the_hash_where_they_are_off() -> None:
    """The hash under which results were submitted before the field existed."""
    caro, nearest = (registry.protocol(name) for name in ("caro2024", "caro2024-nearest"))
    assert caro.hash("fashionmnist") == HASH
    assert nearest.hash("fashionmnist") != caro.hash("fashionmnist")
    assert nearest.attacks["bb-l2"].nearest_starts == 3
    assert "nearest_starts" not in caro.attacks["bb-l2"].model_dump(mode="json")
    same = {**nearest.attacks["bb-l2"].model_dump(), "nearest_starts": 0}
    assert AttackSpec(**same) == caro.attacks["bb-l2"]
    with pytest.raises(ValueError, match="nearest_starts belongs to"):
        AttackSpec(**{**caro.attacks["pgd-l2"].model_dump(), "nearest_starts": 1})


def test_hash_covers_what_decides_the_numbers_and_nothing_else() -> None:
    protocol = registry.protocol("caro2024")
    known = protocol.hash("fashionmnist")
    assert protocol.model_copy(update={"notes": "x", "title": "y"}).hash("fashionmnist") == known
    assert protocol.hash("mnist") != known
    assert protocol.model_copy(update={"seed": 1}).hash("fashionmnist") != known
    attacks = dict(protocol.attacks)
    attacks["bb-l2"] = attacks["bb-l2"].model_copy(update={"version": 99})
    assert protocol.model_copy(update={"attacks": attacks}).hash("fashionmnist") != known
    imagenet = protocol.selection["imagenet"].model_copy(update={"ids": tuple(range(1000))})
    other = protocol.model_copy(update={"selection": {**protocol.selection, "imagenet": imagenet}})
    assert other.hash("fashionmnist") == known
    assert other.hash("imagenet") != protocol.hash("imagenet")


def test_kernel_series_is_derived() -> None:
    entry = registry.model("fashionmnist-deep-local-conv-k7-relu")
    assert entry.net is not None
    assert (entry.net.kernel_size, entry.net.deep, entry.net.relu) == (7, True, True)
    assert entry.weights is None
    assert registry.model("cifar10-local-conv-k32").net is not None
    for wrong in ("fashionmnist-local-conv-k4-relu", "fashionmnist-local-conv-k29"):
        with pytest.raises(BenchError, match="expected an odd kernel size below 28"):
            registry.model(wrong)


def test_any_timm_tag_is_an_entry() -> None:
    entry = registry.model("convnext_tiny.fb_in1k")
    assert (entry.source, entry.tag, entry.dataset) == ("timm", entry.name, "imagenet")


@pytest.mark.parametrize(
    ("ask", "near"),
    [
        (lambda: registry.model("fashionmnist-local-cnv-relu"), "'fashionmnist-local-conv-relu'"),
        (lambda: registry.dataset("fashion-mnist"), "'fashionmnist'"),
        (lambda: registry.protocol("caro24"), "'caro2024'"),
        (lambda: registry.select_models(["cifar20-*"]), "matches no model"),
    ],
)
def test_unknown_names_get_a_hint(ask: object, near: str) -> None:
    with pytest.raises(BenchError, match=near):
        ask()  # type: ignore[operator]


def test_patterns_choose_by_dataset() -> None:
    chosen = registry.select_models(["*-local-conv-relu"], "mnist")
    assert [e.name for e in chosen] == ["mnist-deep-local-conv-relu", "mnist-local-conv-relu"]


GOOD = """
name = "mine"
source = "net"
dataset = "mnist"
family = "local-conv"
type = "Convolutional"
[net]
family = "local-conv"
deep = false
relu = true
"""


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (GOOD.replace('"mine"', '"other"'), "expected name = 'mine'"),
        (GOOD.replace("deep = false", 'deep = "no"'), "net.deep: input should be a valid boolean"),
        (GOOD.replace("relu = true", ""), "net.relu: field required"),
        (GOOD + "colour = 3\n", "net.colour: extra inputs are not permitted, found 3"),
        (GOOD.replace('source = "net"', 'source = "timm"'), 'source = "timm" needs the key "tag"'),
        (GOOD.replace('"local-conv"\ndeep', '"wide"\ndeep'), "net.family: input should be 'fully"),
        (GOOD.replace("[net]", "[net"), "found a syntax error"),
    ],
)
def test_broken_entries_name_file_key_and_value(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(text)
    with pytest.raises(BenchError) as caught:
        registry.read_entry(path, ModelEntry)
    assert str(path) in str(caught.value)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_missing_file_and_good_file(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    for kind in (ModelEntry, DatasetEntry, Protocol):
        with pytest.raises(BenchError, match="expected a readable TOML file"):
            registry.read_entry(path, kind)
    path.write_text(GOOD)
    assert registry.model(str(path)).name == "mine"


def test_another_registry_can_be_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("BENCH_REGISTRY", str(tmp_path))
    with pytest.raises(BenchError, match="BENCH_REGISTRY"):
        registry.registry_dir()
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "mine.toml").write_text(GOOD)
    assert registry.model_names() == ["mine"]
