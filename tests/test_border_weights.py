"""Weights files: what they are by their bytes, one set of them, exact, every fault one line."""

from __future__ import annotations

import io
import json
import struct
import zipfile
from pathlib import Path

import pytest
import torch
from safetensors.torch import save, save_file
from torch import Tensor, nn

from bench.errors import BenchError
from bench.models.checkpoint import read_checkpoint
from bench.models.weights import load_weights


def net() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Flatten(), nn.Linear(8, 3))


def state() -> dict[str, Tensor]:
    torch.manual_seed(1)
    return {
        k: torch.randn(v.shape).bfloat16().float() if v.is_floating_point() else v
        for k, v in net().state_dict().items()
    }


def loaded(path: Path) -> nn.Module:
    made = net()
    load_weights(made, read_checkpoint(path).tensors, str(path))
    return made


def same(module: nn.Module, expected: dict[str, Tensor]) -> bool:
    own = module.state_dict()
    return all(torch.equal(own[k], v) for k, v in expected.items())


def prefixed(prefix: str) -> dict[str, Tensor]:
    return {prefix + k: v for k, v in state().items()}


GOOD = {
    "plain.pth": lambda: state(),
    "without counters.pth": lambda: {k: v for k, v in state().items() if "num_batches" not in k},
    "model.pth.tar": lambda: state(),
    "no suffix": lambda: state(),
    "state_dict.pth": lambda: {"state_dict": state(), "epoch": 3, "best": 0.9},
    "model.pth": lambda: {"model": state(), "optimizer": {"state": {0: {"m": torch.ones(2)}}}},
    "ema.pth": lambda: {"state_dict_ema": state(), "args": {"lr": 0.1}},
    "deeper.pth": lambda: {"checkpoint": {"net": {"weights": state()}}},
    "parallel.pth": lambda: prefixed("module."),
    "compiled.pth": lambda: prefixed("_orig_mod."),
    "lightning.pth": lambda: {"state_dict": prefixed("model.")},
    "nested wrappers.pth": lambda: prefixed("module._orig_mod."),
    "half.pth": lambda: {
        k: v.bfloat16() if v.is_floating_point() else v for k, v in state().items()
    },
    "double.pth": lambda: {
        k: v.double() if v.is_floating_point() else v for k, v in state().items()
    },
    "short counter.pth": lambda: {
        k: v.int() if not v.is_floating_point() else v for k, v in state().items()
    },
}


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("name", GOOD)
def test_usual_files_load(tmp_path: Path, name: str, zipped: bool) -> None:
    torch.save(GOOD[name](), tmp_path / name, _use_new_zipfile_serialization=zipped)
    expected = {k: v for k, v in state().items() if "num_batches" not in k}
    assert same(loaded(tmp_path / name), expected)


def test_safetensors_need_no_suffix(tmp_path: Path) -> None:
    for name in ("w", "w.bin", "w.pth", "w.tar"):
        save_file(state(), tmp_path / name)
        assert same(loaded(tmp_path / name), state())


def changed(key: str, value: Tensor) -> dict[str, Tensor]:
    return {**state(), key: value}


W = "3.weight"
BAD = {
    "two sets": (
        {"state_dict": state(), "state_dict_ema": state()},
        "2 \\('state_dict' and 'state_dict_ema'\\)",
    ),
    "model and ema": ({"model": state(), "ema": {"module": state()}}, "'model' and 'ema.module'"),
    "no tensors": ({"epoch": 3, "name": "x"}, "other things under 'epoch', 'name'"),
    "mixed": ({**state(), "epoch": 3}, "other things under 'epoch'"),
    "empty": ({}, "got no tensors"),
    "a list": ([torch.ones(2)], "got list"),
    "a tensor": (torch.ones(2), "got Tensor"),
    "missing": ({k: v for k, v in state().items() if k != W}, "the entry '3.weight', found none"),
    "one more": (changed("head.weight", torch.ones(2)), "no entry 'head.weight'"),
    "another shape": (changed(W, torch.ones(3, 9)), r"shape \(3, 8\).*got \(3, 9\)"),
    "int8": (changed(W, torch.ones(3, 8, dtype=torch.int8)), "got int8, which"),
    "bool": (changed(W, torch.ones(3, 8, dtype=torch.bool)), "got bool, which"),
    "complex": (changed(W, torch.ones(3, 8, dtype=torch.complex64)), "got complex64, which"),
    "float8": (changed(W, torch.ones(3, 8).to(torch.float8_e4m3fn)), "got float8_e4m3fn, which"),
    "finer doubles": (changed(W, torch.full((3, 8), 0.1, dtype=torch.float64)), "got float64"),
    "float counter": (changed("1.num_batches_tracked", torch.tensor(2.5)), "int64 values"),
    "sparse": (changed(W, torch.ones(3, 8).to_sparse()), "a sparse tensor"),
    "meta": (changed(W, torch.empty(3, 8, device="meta")), "a tensor without values"),
}


@pytest.mark.parametrize("kind", BAD)
def test_other_torch_files_are_one_line(tmp_path: Path, kind: str) -> None:
    content, reason = BAD[kind]
    torch.save(content, tmp_path / "w.pth")
    with pytest.raises(BenchError, match=reason) as caught:
        loaded(tmp_path / "w.pth")
    assert "\n" not in str(caught.value)


@pytest.mark.filterwarnings("ignore:.*:DeprecationWarning", "ignore:.*:UserWarning")
def test_quantised_weights_are_refused(tmp_path: Path) -> None:
    value = torch.quantize_per_tensor(torch.ones(3, 8), 0.1, 0, torch.qint8)
    torch.save(changed(W, value), tmp_path / "w.pth")
    with pytest.raises(BenchError, match=r"a quantised tensor|reads, got"):
        loaded(tmp_path / "w.pth")


def with_header(header: bytes) -> bytes:
    return struct.pack("<Q", len(header)) + header


def with_metadata(text: str) -> bytes:
    return save({"a": torch.ones(2)}, metadata={"bench": text})


def numpy_zip() -> bytes:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as file:
        file.writestr("a.npy", b"x")
    return data.getvalue()


BYTES = {
    "nothing": (b"", "safetensors file"),
    "a web page": (b"<!DOCTYPE html><html>", "a web page"),
    "git-lfs": (b"version https://git-lfs.github.com/spec/v1\n", "git lfs pull"),
    "keras": (b"\x89HDF\r\n\x1a\n" + bytes(64), "HDF5"),
    "gzip": (b"\x1f\x8b\x08" + bytes(64), "a gzip file"),
    "numpy": (b"\x93NUMPY\x01\x00" + bytes(64), "a NumPy array"),
    "another zip": (numpy_zip(), r"weights_only=True\) reads"),
    "a cut header": (with_header(b'{"a": {"dtype"'), "safetensors file"),
    "a deep header": (with_header(b'{"a":' + b"[" * 100_000), "safetensors file"),
    "a huge header": (struct.pack("<Q", 2**62) + b"{}", "safetensors file"),
    "a pickle": (b"\x80\x02cos\nsystem\nX\x04\x00\x00\x00echo\x85R.", r"weights_only=True\) reads"),
    "metadata: a list": (with_metadata("[1]"), "a JSON object"),
    "metadata: a number": (with_metadata("7"), "a JSON object"),
    "metadata: no JSON": (with_metadata("{"), "expected JSON in the metadata"),
    "metadata: deep": (with_metadata("[" * 100_000), "expected JSON in the metadata"),
    "metadata: long number": (
        with_metadata('{"seed": ' + "9" * 5000 + "}"),
        "JSON in the metadata",
    ),
    "metadata: large seed": (with_metadata('{"seed": ' + "9" * 300 + "}"), "whole numbers"),
    "metadata: negative": (with_metadata('{"train_count": -1}'), "whole numbers"),
    "metadata: text": (with_metadata('{"train_count": "all"}'), "whole numbers"),
    "metadata: true": (with_metadata('{"seed": true}'), "whole numbers"),
}


@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
@pytest.mark.parametrize("kind", BYTES)
def test_other_bytes_are_one_line(tmp_path: Path, kind: str, suffix: str) -> None:
    data, reason = BYTES[kind]
    path = tmp_path / f"w{suffix}"
    path.write_bytes(data)
    with pytest.raises(BenchError, match=reason) as caught:
        read_checkpoint(path)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 700


def test_what_is_hashed_is_what_is_parsed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that changes between two readings: there is one reading only."""
    import hashlib

    path = tmp_path / "w.safetensors"
    save_file(state(), path)
    good, other = path.read_bytes(), save({k: v * 2 for k, v in state().items()})
    read = Path.read_bytes

    def once(self: Path) -> bytes:
        data = read(self)
        self.write_bytes(other)
        return data

    monkeypatch.setattr(Path, "read_bytes", once)
    found = read_checkpoint(path, sha256=hashlib.sha256(good).hexdigest())
    assert all(torch.equal(found.tensors[k], v) for k, v in state().items())


def test_metadata_of_others_is_left_alone(tmp_path: Path) -> None:
    save_file(state(), tmp_path / "w", metadata={"format": "pt", "note": json.dumps([1])})
    assert read_checkpoint(tmp_path / "w").meta == {}
