"""Every entry of the registry, and what is said of broken ones."""

from __future__ import annotations

import json
import sys
import types
from pathlib import Path
from typing import Literal

import pytest

from bench.attacks.brendel_bethge.settings import BrendelBethge
from bench.entries import registry
from bench.entries.attacks import ALGORITHMS, AttackSettings
from bench.entries.dataset import DatasetEntry
from bench.entries.model import ModelEntry
from bench.entries.protocol import Protocol
from bench.entries.rules import rules, rules_for
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


CARO = [name for name in registry.protocol_names() if name.startswith("caro2024")]


def test_the_ranking_protocol_has_table_10s_pgd_and_witnesses_in_no_hash() -> None:
    ours, caro = (registry.protocol(name) for name in ("minimal2026", "caro2024"))
    for name in ("pgd-linf", "pgd-l2", "pgd-l1"):
        # the very same attack: what caro2024 has measured is taken over
        assert ours.attack_hash("mnist", name) == caro.attack_hash("mnist", name)
    assert set(ours.attacks) == {"min-l2", "min-linf", "pgd-linf", "pgd-l2", "pgd-l1"}
    assert ours.primary_attack == ours.gates.kept_attack == "min-l2"
    without = ours.model_copy(update={"witnesses": {}})
    assert without.hash("fashionmnist") == ours.hash("fashionmnist")


@pytest.mark.parametrize("name", CARO)
def test_every_reading_of_the_paper_has_table_10(name: str) -> None:
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


def test_the_hash_of_the_first_submissions_still_holds() -> None:
    known = rules("caro2024", "fashionmnist")
    assert HASH in known.hashes
    assert known.hash != HASH
    assert rules_for({"protocol": "caro2024", "dataset": "fashionmnist", "protocol_hash": HASH})
    with pytest.raises(BenchError, match="measure it again"):
        rules_for({"protocol": "caro2024", "dataset": "mnist", "protocol_hash": HASH})


def test_the_identity_is_the_attacks_and_a_protocol_is_a_view() -> None:
    caro, other = (registry.protocol(name) for name in ("caro2024", "caro2024-absstep"))
    same = {
        name
        for name in caro.attacks
        if caro.attack_hash("fashionmnist", name) == other.attack_hash("fashionmnist", name)
    }
    assert same == {"bb-linf", "bb-l2"}  # they differ in their PGD only
    assert caro.hash("fashionmnist") != other.hash("fashionmnist")
    assert caro.attack_hash("fashionmnist", "bb-l2") == caro.attack_hash("mnist", "bb-l2")
    assert caro.attack_hash("imagenet", "bb-l2") != caro.attack_hash("mnist", "bb-l2")


def test_what_is_not_set_stands_in_no_hash() -> None:
    attack = registry.protocol("caro2024").attacks["bb-l2"]
    assert attack.normative() == {
        "algorithm": "brendel-bethge",
        "norm": "l2",
        "steps": 1000,
        "learning_rate": 1e-3,
        "version": 1,
    }
    written_out = attack.model_copy(update={"momentum": 0.8, "nearest_starts": 0})
    assert written_out.normative() == attack.normative()


def test_an_attack_key_and_an_algorithm_come_without_changing_a_hash(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before = {
        (p, d): registry.protocol(p).hash(d)
        for p in registry.protocol_names()
        for d in registry.dataset_names()
    }

    class WithKey(BrendelBethge):
        restarts: int = 0

    class Gaussian(AttackSettings):
        algorithm: Literal["gaussian"] = "gaussian"
        sigma: float

    module = types.ModuleType("later")
    module.WithKey, module.Gaussian = WithKey, Gaussian  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "later", module)
    monkeypatch.setitem(ALGORITHMS, "brendel-bethge", "later:WithKey")
    monkeypatch.setitem(ALGORITHMS, "gaussian", "later:Gaussian")
    for name in registry.protocol_names():
        path = registry.registry_dir() / "protocols" / f"{name}.toml"
        found = registry.with_ids(registry.read_entry(path, Protocol))
        for dataset in registry.dataset_names():
            assert found.hash(dataset) == before[name, dataset]
    attacks = {"noise": {"algorithm": "gaussian", "norm": "l2", "version": 1, "sigma": 0.1}}
    raw = registry.protocol("caro2024").model_dump(mode="json")
    raw |= {"attacks": attacks, "primary_attack": "noise"}
    raw["gates"]["kept_attack"] = "noise"
    made = Protocol.model_validate_json(json.dumps(raw))
    assert isinstance(made.attacks["noise"], Gaussian)
    assert made.model_dump(mode="json")["attacks"]["noise"]["sigma"] == 0.1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"epsilon": None}, "attacks.pgd-l2: epsilon: "),
        ({"learning_rate": 0.1}, "attacks.pgd-l2: learning_rate: Extra inputs"),
        ({"algorithm": "pdg"}, "expected algorithm to be one of pgd, "),
        ({"steps": "many"}, "attacks.pgd-l2: steps: "),
        ({"random_start": True}, "expected random_start = false"),
    ],
)
def test_wrong_attack_settings_are_named(
    change: dict[str, object], message: str, tmp_path: Path
) -> None:
    text = (registry.registry_dir() / "protocols" / "caro2024.toml").read_text()
    head, tail = text.split("[attacks.pgd-l2]")
    body, rest = tail.split("[attacks.pgd-l1]")
    kept = [line for line in body.splitlines() if line.split(" =")[0] not in change]
    new = [f"{k} = {json.dumps(v)}" for k, v in change.items() if v is not None]
    body = "\n".join([*kept, *new])
    path = tmp_path / "caro2024.toml"
    path.write_text(f"{head}[attacks.pgd-l2]\n{body}\n[attacks.pgd-l1]{rest}")
    with pytest.raises(BenchError) as caught:
        registry.read_entry(path, Protocol)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


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
