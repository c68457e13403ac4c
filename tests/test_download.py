"""Data and weights ahead of a run, from a hub on the loopback: resumed, hashed, offline."""

from __future__ import annotations

import hashlib
import io
import random
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import MODEL
from fabricate import made_up, write_hub_parquet
from fake_hub import serve

import bench
from bench.cli.main import call
from bench.data.hub.fetch import Wanted, cached, check_cached, fetch
from bench.entries import registry
from bench.errors import BenchError

REVISION = "1234567890" * 4
DATA = random.Random(3).randbytes(300_000)
WEIGHTS = Wanted("model", "timm/toy", REVISION, "", ("model.safetensors", "pytorch_model.bin"))


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of repositories; and an empty cache."""
    from huggingface_hub import constants

    for name in ("HF_HOME", "HF_HUB_CACHE"):
        monkeypatch.setattr(constants, name, str(tmp_path / "cache"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_PROGRESS_BARS", True)
    root = tmp_path / "hub"
    for name, data in (("model.safetensors", DATA), ("README.md", b"x")):
        path = root / "timm" / "toy" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return root


@pytest.fixture
def cuts() -> list[int]:
    return []


@pytest.fixture
def asked(hub: Path, cuts: list[int], monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """What the hub is asked for."""
    from huggingface_hub import constants

    with serve(hub, REVISION, cuts=cuts) as (address, asked):
        monkeypatch.setattr(constants, "ENDPOINT", address)
        template = address + "/{repo_id}/resolve/{revision}/{filename}"
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        yield asked


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("the network was asked")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


def test_a_file_comes_whole_hashed_and_only_once(asked: list[str]) -> None:
    (first,) = fetch(WEIGHTS)
    assert first.path.read_bytes() == DATA
    assert (first.size, first.hashed, first.fresh) == (len(DATA), True, True)
    asked.clear()
    (again,) = fetch(WEIGHTS)
    assert not again.fresh
    assert not any("resolve" in line for line in asked)


def test_what_broke_off_goes_on_where_it_was(
    asked: list[str], cuts: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first command dies with a third of the file; the second asks for the rest only."""
    cuts += [100_000, 10_000, 0, 0, 0, 0]
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    with pytest.raises(BenchError, match="goes on where the file broke off"):
        fetch(WEIGHTS)
    assert cached(WEIGHTS) == [], "a part is never taken for the file"
    cuts.clear()
    asked.clear()
    (got,) = fetch(WEIGHTS)
    assert got.path.read_bytes() == DATA
    begun = [int(line.split()[1]) for line in asked if line.startswith("from")]
    assert begun == [110_000]


@pytest.mark.parametrize("how", ["cut", "changed"])
def test_a_damaged_file_is_named_and_brought_anew(how: str, asked: list[str]) -> None:
    (got,) = fetch(WEIGHTS)
    bad = DATA[:1000] if how == "cut" else b"!" + DATA[1:]
    got.path.resolve().write_bytes(bad)
    for refuse in (lambda: check_cached(got.path), lambda: fetch(WEIGHTS, offline=True)):
        with pytest.raises(BenchError, match=rf"{got.path}.*cut or changed; delete it"):
            refuse()
    said: list[str] = []
    (again,) = fetch(WEIGHTS, tell=said.append)
    assert again.path.read_bytes() == DATA
    assert again.fresh
    assert f"{got.path} is not what the hub has" in said[0]


def test_what_the_hub_sends_must_be_what_it_states(
    hub: Path, asked: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As if somebody on the way changed the file."""
    import fake_hub

    monkeypatch.setattr(
        fake_hub, "_lfs", lambda data: {"oid": "0" * 64, "size": len(data), "pointerSize": 1}
    )
    digest = hashlib.sha256(DATA).hexdigest()
    with pytest.raises(BenchError, match=rf"with the hash 0+ .*, found {digest[:12]}"):
        fetch(WEIGHTS)
    assert cached(WEIGHTS) == []


def test_offline_asks_no_network(asked: list[str], request: pytest.FixtureRequest) -> None:
    with pytest.raises(BenchError, match=r"in the hub cache.*without --offline"):
        fetch(WEIGHTS, offline=True)
    fetch(WEIGHTS)
    request.getfixturevalue("no_network")
    asked.clear()
    (got,) = fetch(WEIGHTS, offline=True)
    assert got.hashed
    assert asked == []


@pytest.mark.parametrize(("host", "kept"), [("hub.example", True), ("cdn.example", False)])
def test_a_key_stays_with_the_first_host(host: str, kept: bool) -> None:
    from email.message import Message
    from urllib.request import Request

    from bench.data.hub.resume import _Redirects

    first = Request("https://hub.example/x", headers={"Authorization": "Bearer k", "Range": "r"})
    url = f"https://{host}/y"
    found = _Redirects().redirect_request(first, io.BytesIO(), 302, "Found", Message(), url)
    assert found is not None
    assert found.has_header("Authorization") == kept
    assert found.get_header("Range") == "r"


def test_a_branch_is_noted_as_the_hubs_client_does(asked: list[str]) -> None:
    from dataclasses import replace

    from huggingface_hub import try_to_load_from_cache

    (got,) = fetch(replace(WEIGHTS, revision="main"))
    assert try_to_load_from_cache("timm/toy", "model.safetensors") == str(got.path)
    assert cached(replace(WEIGHTS, revision="main")) == [got.path]


def test_an_unreachable_hub_and_an_unknown_repository_are_one_line(
    asked: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from dataclasses import replace

    from huggingface_hub import constants

    with pytest.raises(BenchError, match="expected the files of timm/none"):
        fetch(replace(WEIGHTS, repo="timm/none"))
    with pytest.raises(BenchError, match=r"expected no\.such\.file in timm/toy"):
        fetch(replace(WEIGHTS, names=("no.such.file",)))
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(BenchError, match="expected an answer from"):
        fetch(WEIGHTS)


# ---------------------------------------------------------------- the command


def test_the_command_says_what_is_here_and_what_lacks(
    hub: Path, no_network: None, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(["download", "-m", MODEL, "--offline"]) == 0
    out = capsys.readouterr().out.splitlines()
    assert out[0].startswith(f"weights  {MODEL}: ")
    assert "hash right; was here" in out[0]
    assert out[1].startswith("images   fashionmnist: ")
    assert call(["download", "-m", MODEL, "-d", "cifar10", "--offline"]) == 2
    out, err = capsys.readouterr()
    assert "images   cifar10: expected files of uoft-cs/cifar10 in the hub cache" in out
    assert "expected 3 things at hand, found 2" in err
    assert call(["download"]) == 2
    assert "expected --model or --dataset" in capsys.readouterr().err


def test_the_call_gives_a_row_a_thing(asked: list[str], no_network: None) -> None:
    found = bench.download([MODEL, "resnet50d"], ["svhn"], offline=True)
    assert list(zip(found["what"], found["name"], strict=True)) == [
        ("weights", MODEL),
        ("weights", "resnet50d"),
        ("images", "svhn"),
        ("images", "fashionmnist"),
        ("images", "imagenet"),
    ]
    assert found["problem"].astype(bool).tolist() == [False, True, True, False, True]
    assert found["hashed"][0]


def test_a_changed_checkpoint_of_the_registry_is_refused(
    quick_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for source in quick_folder.iterdir():
        if source.name != "checkpoints":
            (tmp_path / source.name).symlink_to(source)
    for source in (quick_folder / "checkpoints").iterdir():
        target = tmp_path / "checkpoints" / source.name
        target.parent.mkdir(exist_ok=True)
        target.symlink_to(source)
    file = tmp_path / registry.model(MODEL).weights.file
    data = file.read_bytes()
    file.unlink()
    file.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    monkeypatch.setenv("BENCH_REGISTRY", str(tmp_path))
    assert call(["download", "-m", MODEL, "--offline"]) == 2
    assert str(file) in capsys.readouterr().out


def test_images_come_in_the_form_that_a_run_reads(
    hub: Path, asked: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two shards through the command's own call, then the loader, offline."""
    from bench.run import download

    entry, pixels, labels = made_up("cifar10", 12)
    entry = entry.model_copy(update={"test_count": 12})
    place = hub / entry.hub.id / entry.hub.folder
    place.mkdir(parents=True)
    for k, part in enumerate((slice(0, 7), slice(7, 12))):
        write_hub_parquet(
            place / f"test-{k:05d}-of-00002.parquet", pixels[part], labels[part], entry
        )
    monkeypatch.setattr(registry, "dataset", lambda name: entry)
    with serve(hub, entry.hub.revision) as (address, _):
        from huggingface_hub import constants

        monkeypatch.setattr(constants, "ENDPOINT", address)
        template = address + "/{repo_id}/resolve/{revision}/{filename}"
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        item = download.download_images("cifar10")
    assert (item.fresh, item.hashed) == (True, True)
    assert not download.download_images("cifar10", offline=True).fresh
