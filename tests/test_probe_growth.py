"""A probe takes a class and one entry of PROBES: command, call, files and board know it then."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from pydantic import TypeAdapter, ValidationError
from test_growth import grown

from bench.entries.fields import Name
from bench.entries.probe_names import PROBES, Listed
from bench.entries.probes import probe_class
from bench.results.address import Address, is_side
from bench.run.open import open_model
from bench.run.request import Request


def test_a_probe_more_has_command_call_files_and_place_on_the_board(tmp_path: Path) -> None:
    """A class and one entry of PROBES are all that it takes."""
    found = grown("probe", tmp_path)
    net = "fashionmnist-full-conv"
    assert found["codes"] == [0, 0, 0]
    commands, _, own = found["said"].partition("bench probe toy --model")
    assert "Take the mean of each image." in commands
    assert f"{net}: toy" in own
    names = [f"{net}.toy.{suffix}" for suffix in ("parquet", "png", "svg")]
    assert found["files"] == sorted([*names, f"{net}@random.toy.parquet"])
    assert found["models"] == [net] * 3 + [f"{net}@random"] * 3
    images = open_model(Request.of(model=net, attacks=("min-l2",))).job.load(range(3)).numpy()
    wanted = images.astype(float).mean((1, 2, 3))
    for rows in (slice(0, 3), slice(3, 6)):
        np.testing.assert_allclose(found["mean"][rows], wanted, rtol=1e-12)
    whole = pq.read_table(tmp_path / "probes" / "fashionmnist" / f"{net}.toy.parquet")
    assert whole["mean"].to_pylist() == found["mean"][:3]
    assert (found["problems"], found["broken"], found["reports"]) == ([], [], ["Toy"])


def test_no_model_is_called_like_the_files_of_a_probe(monkeypatch: pytest.MonkeyPatch) -> None:
    names = TypeAdapter(Name)
    assert names.validate_python("net.toy") == "net.toy"
    monkeypatch.setitem(PROBES, "toy", Listed("later:Toy", "Of later."))
    with pytest.raises(ValidationError, match=r'must not end in "\.toy"'):
        names.validate_python("net.toy")
    assert is_side("net.toy.parquet")
    assert Address("probes", "fashionmnist", "net").side("toy").file.endswith("/net.toy.parquet")


def test_names_of_probes_are_commands_and_kinds_of_files() -> None:
    for name, listed in PROBES.items():
        assert re.fullmatch("[a-z0-9]+", name)
        assert probe_class(name).name == name
        assert len(listed.help.splitlines()[0]) <= 100
    kinds = ("extras", "clean", "perturbations", "challenge", "verify", "blocks")
    assert not set(PROBES) & {*kinds, "transfer", "theory"}
