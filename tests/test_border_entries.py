"""Entries and names from outside: whatever they hold, one clear line comes out."""

from __future__ import annotations

import errno
import shutil
import tempfile
from collections import Counter
from pathlib import Path

import pytest
from conftest import MODEL, REPOSITORY
from entry_mutants import try_mutant

from bench.cli.main import call
from bench.entries import registry
from bench.entries.dataset import DatasetEntry
from bench.entries.model import ModelEntry
from bench.entries.read import read_entry
from bench.errors import BenchError, printable, unknown_name
from bench.files import cannot_write, ensure_writable, write_bytes
from bench.models.choose import choose_model, find_model

TINY = 'name = "x"\nsource = "timm"\ntag = "resnet18"\ndataset = "imagenet"\nfamily = "a"\ntype = "Other"\n'  # fmt: skip  # noqa: E501

HURTFUL = {
    "nested arrays": (b"name = " + b"[" * 5000, "nested too deep"),
    "nested tables": (b"a = " + b"{a=" * 5000, "nested too deep"),
    "dotted keys": (b"a" + b".a" * 4000 + b" = 1", "nested too deep"),
    "a table's long path": (b"[a" + b".a" * 4000 + b"]\nb = 1", "nested too deep"),
    "a long integer": (b'name = "x"\nseed = ' + b"9" * 5000, "too many digits"),
    "a wide integer": (b"x = " + b"9" * 400, "64 bits"),
    "a hexadecimal one": (b"x = 0x" + b"f" * 4000, "64 bits"),
    "colours": (TINY.replace('"a"', '"\\u001b[31ma"').encode(), "control characters"),
    "another direction": (TINY.replace('"a"', '"\\u202ea"').encode(), "control characters"),
    "a colour in a key": (b'"\\u001b[31m" = 1', "control characters"),
    "no text": (b"\xff\xfe\x00", "syntax error"),
    "too long": (b"#" * (2**18 + 1), "at most 262144 bytes"),
    "infinite": (TINY.encode() + b"[paper]\nname = 'a'\ntop1 = inf", "top1"),
    "a way out": (TINY.encode() + b"[weights]\nfile = '../../x'", r"below registry/"),
    "an absolute path": (TINY.encode() + b"[weights]\nfile = '/etc/passwd'", r"below registry/"),
    "another drive": (TINY.encode() + b"[weights]\nfile = 'C:\\x'", r"below registry/"),
    "a huge side": (TINY.encode() + b"input_size = 99999999", "input_size"),
    "many epochs": (TINY.encode() + b"[weights]\nepochs = 9000000000000", "epochs"),
}


@pytest.mark.parametrize("kind", HURTFUL)
def test_hurtful_entries_are_one_line(tmp_path: Path, kind: str) -> None:
    data, reason = HURTFUL[kind]
    (tmp_path / "x.toml").write_bytes(data)
    with pytest.raises(BenchError, match=reason) as caught:
        read_entry(tmp_path / "x.toml", ModelEntry)
    line = str(caught.value)
    assert "\n" not in line
    assert "\x1b" not in line
    assert len(line) < 500


PATTERNS = ["(" * 5000, "(a{99999999999999999999})", "([", "x" * 300]


@pytest.mark.parametrize("pattern", PATTERNS)
def test_a_hurtful_pattern_is_one_line(tmp_path: Path, pattern: str) -> None:
    text = (REPOSITORY / "registry/datasets/svhn.toml").read_text()
    text = text.replace("channels = 3", f"channels = 3\nid_pattern = '{pattern}'")
    (tmp_path / "svhn.toml").write_text(text)
    with pytest.raises(BenchError, match="id_pattern"):
        read_entry(tmp_path / "svhn.toml", DatasetEntry)


def copied(folder: Path) -> Path:
    for name in ("models", "datasets", "protocols"):
        shutil.copytree(REPOSITORY / "registry" / name, folder / name)
    return folder


@pytest.mark.parametrize("kind", ["models", "datasets", "protocols"])
def test_a_bad_entry_is_named_and_the_others_are_listed(
    tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = copied(tmp_path / "registry")
    (folder / kind / "bad.toml").write_text("name = " + "[" * 5000)
    monkeypatch.setenv("BENCH_REGISTRY", str(folder))
    assert call(["list", kind]) == 0
    out, err = capsys.readouterr()
    (line,) = err.splitlines()
    assert "bad.toml: expected TOML, found brackets nested too deep (left out" in line
    assert {"models": MODEL, "datasets": "cifar100", "protocols": "caro2024"}[kind] in out


def test_mutants_are_taken_or_refused_in_one_line(tmp_path: Path) -> None:
    found = Counter(try_mutant(number, tmp_path) for number in range(5000))
    assert min(found["taken"], found["refused"]) > 200  # they reach both ends


@pytest.mark.fuzz
@pytest.mark.timeout(7200)
def test_a_hundred_thousand_mutants(tmp_path: Path) -> None:
    for number in range(5000, 105_000):
        try_mutant(number, tmp_path)


# ---------------------------------------------------------------- data sets that are like another


LIKE = """
name = "mine"
title = "Mine"
like = "cifar10"
test_count = 7
layouts = ["parquet"]
licence = "mine"
homepage = "https://example.org"
"""


@pytest.fixture
def other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = copied(tmp_path / "registry")
    monkeypatch.setenv("BENCH_REGISTRY", str(folder))
    return folder / "datasets" / "mine.toml"


def test_what_is_like_another_has_its_classes_and_models(other: Path) -> None:
    other.write_text(LIKE)
    entry, base = registry.dataset("mine"), registry.dataset("cifar10")
    assert (entry.classes, entry.size, entry.channels) == (base.classes, 32, 3)
    assert entry.test_count == 7
    assert registry.trained_on(entry) == base
    name = "cifar10-local-conv-relu"
    chosen = choose_model(name, "mine")
    assert chosen.dataset == "mine"
    assert chosen.paper is None  # the paper's accuracy is of CIFAR-10
    assert choose_model(name).dataset == choose_model(name, "cifar10").dataset == "cifar10"
    names = {entry.name for entry in registry.select_models(["*-local-conv*"], "mine")}
    assert name in names
    assert not any(n.startswith("mnist") for n in names)
    with pytest.raises(BenchError, match=r"expected --dataset mnist for model"):
        choose_model("mnist-local-conv-relu", "mine")
    with pytest.raises(BenchError, match=r"--dataset cifar10 or .*mine.*, got svhn"):
        choose_model(name, "svhn")


def test_a_subset_of_classes_is_asked_for_its_logits_only(other: Path) -> None:
    import torch

    from bench.models.load import load

    other.write_text(LIKE + "class_subset = [7, 2]\n")
    entry = registry.dataset("mine")
    assert entry.classes == ("horse", "bird")
    name = "cifar10-local-conv-relu"
    images = torch.rand(3, 3, 32, 32)
    some = load(choose_model(name, "mine"), "random", torch.device("cpu"))
    whole = load(choose_model(name), "random", torch.device("cpu"))
    assert some.classes == 2
    assert torch.equal(some.module(images), whole.module(images)[:, [7, 2]])
    assert some.weights == whole.weights


WRONG_LIKES = {
    "unknown": (LIKE.replace("cifar10", "cifar11"), "another data set, found 'cifar11'"),
    "itself": (LIKE.replace('"cifar10"', '"mine"'), "another data set, found 'mine'"),
    "a chain": (LIKE.replace("cifar10", "cifar10-c-gaussian-noise-3"), "itself like another"),
    "a number": (LIKE.replace('"cifar10"', "7"), "another data set, found 7"),
    "other size": (LIKE + "size = 28\n", "size: expected those of 'cifar10'"),
    "other classes": (LIKE + 'classes = ["a", "b"]\n', "classes: expected those"),
    "subset twice": (LIKE + "class_subset = [1, 1]\n", "class_subset"),
    "subset too far": (LIKE + "class_subset = [1, 10]\n", "class_subset"),
    "subset of nothing": (LIKE + "class_subset = []\n", "class_subset"),
}


@pytest.mark.parametrize("kind", WRONG_LIKES)
def test_wrong_likes_are_one_line(other: Path, kind: str) -> None:
    text, reason = WRONG_LIKES[kind]
    other.write_text(text)
    with pytest.raises(BenchError, match=reason) as caught:
        registry.dataset("mine")
    assert "\n" not in str(caught.value)


# ---------------------------------------------------------------- names of timm's


def test_every_old_name_of_timms_is_resolved_or_refused() -> None:
    import timm

    from bench.models.timm_names import known_tag

    old = timm.models.get_deprecated_models()
    assert len(old) > 200
    for name, now in old.items():
        if now is None:
            with pytest.raises(BenchError, match="has removed"):
                find_model(name)
            continue
        if "." in now and now not in timm.list_pretrained():  # timm misspells some of them
            with pytest.raises(BenchError, match=r"unknown tag .*timm \S+ has \w"):
                find_model(name)
            continue
        tag = find_model(name).tag
        assert tag is not None
        assert tag.split(".")[0] == now.split(".")[0]
        assert "." not in now or tag == now
        with pytest.raises(BenchError, match=f"old name of .*type {now}"):
            known_tag(f"{name}.some_tag")


@pytest.mark.parametrize("prefix", ["hf-hub:timm/", "hf_hub:timm/", "timm/"])
def test_an_address_of_timms_own_is_its_name(prefix: str) -> None:
    assert find_model(f"{prefix}resnet50d.ra2_in1k").tag == "resnet50d.ra2_in1k"
    assert find_model(f"{prefix}test_vit").tag == find_model("test_vit").tag


@pytest.mark.parametrize("name", ["hf-hub:someone/net", "hf-hub:x", "local-dir:/tmp/x"])
def test_other_addresses_say_what_to_type(name: str) -> None:
    with pytest.raises(BenchError, match=r'source = "checkpoint".*--weights PATH'):
        find_model(name)


def test_the_transform_is_timms_test_unless_a_size_is_pinned() -> None:
    import timm

    from bench.models.timm_source import data_config

    differ = 0
    chosen = timm.list_pretrained("*_in1k")[::23]
    for tag in [*chosen, "convnext_tiny.fb_in1k", "resnet50d.ra2_in1k"]:
        cfg = timm.get_pretrained_cfg(tag).to_dict()
        theirs = timm.data.resolve_data_config({}, pretrained_cfg=cfg, use_test_size=True)
        trained = timm.data.resolve_data_config({}, pretrained_cfg=cfg)
        assert data_config(tag, None) == theirs
        pinned = data_config(tag, 224)
        assert pinned["crop_pct"] == trained["crop_pct"]
        differ += theirs != trained
    assert differ >= 2
    tiny = data_config("convnext_tiny.fb_in1k", None)
    assert (tiny["input_size"], tiny["crop_pct"]) == ((3, 288, 288), 1.0)
    assert data_config("resnet50d.ra2_in1k", 224)["crop_pct"] == 0.875


# ---------------------------------------------------------------- advice that helps


def test_errors_show_what_steers_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    assert call(["eval", "-m", "\x1b[31mred\x1b[0m.toml", "--limit", "1"]) == 2
    assert call(["list", "\x1b]0;title\x07"]) == 2
    out, err = capsys.readouterr()
    assert "\x1b" not in out + err
    assert "\\x1b[31mred" in err
    assert printable("a\u202eb\x00c\td", allowed="\t") == "a\\u202eb\\x00c\td"
    assert printable("Müller, 北京") == "Müller, 北京"


def test_only_lists_that_exist_are_advised() -> None:
    many = [f"name{k}" for k in range(20)]
    for kind in ("model", "dataset", "protocol", "attack", "metric"):
        assert f"bench list {kind}s" in str(unknown_name(kind, "?", many))
        assert call(["list", f"{kind}s"]) == 0
    for kind in ("result", "layout", "data source"):
        line = str(unknown_name(kind, "?", many))
        assert "bench list" not in line
        assert "name0" in line


def test_advice_fits_what_the_disk_said(tmp_path: Path) -> None:
    def advice(number: int) -> str:
        return str(cannot_write(tmp_path, OSError(number, "said the disk")))

    assert "free space" in advice(errno.ENOSPC)
    for number in (errno.EACCES, errno.EROFS, errno.ENOTDIR):
        assert "free space" not in advice(number)
    assert "right to write" in advice(errno.EROFS)
    (tmp_path / "file").write_text("")
    for work in (ensure_writable, lambda p: write_bytes(p / "x", b"")):
        with pytest.raises(BenchError, match="expected to write") as caught:
            work(tmp_path / "file" / "folder")
        assert "--output" not in str(caught.value)


@pytest.mark.parametrize("where", ["full", "missing"])
def test_no_room_for_temporary_files_is_one_line(
    tmp_path: Path, where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from bench.submissions import submit as module

    source = tmp_path / "results" / "caro2024" / "fashionmnist" / "m.parquet"
    source.parent.mkdir(parents=True)
    source.write_bytes(b"")
    monkeypatch.setattr(module, "read_metadata", lambda _: {})
    monkeypatch.setattr(module, "compact_rows", lambda *_: (None, []))
    if where == "missing":
        monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "gone"))
    else:
        full = OSError(errno.ENOSPC, "No space left on device")

        def refuse(*_: object) -> None:
            raise full

        monkeypatch.setattr(module, "write_rows", refuse)
    with pytest.raises(BenchError, match=r"temporary files.*TMPDIR") as caught:
        module.submit(source, tmp_path / "submissions")
    assert "--output" not in str(caught.value)
