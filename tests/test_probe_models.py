"""`bench probe bands` and its like through units, engines and files; the calls; errors."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from conftest import REPOSITORY

import bench
from bench.cli.main import call
from bench.entries.probe_names import PROBES
from bench.entries.probes import HEAD, probe_class
from bench.errors import BenchError
from bench.probes.filters.probe import Filters
from bench.probes.tables import subject, twin_name
from bench.results.probes import arrays, joined, probe_form, probe_table, read
from bench.run.open import open_model
from bench.run.request import Request

NET = "fashionmnist-full-conv"


def folder(output: Path) -> Path:
    return output / "probes" / "fashionmnist"


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six samples of a small net and its twin, by `bench probe gradient`."""
    output = tmp_path_factory.mktemp("probes")
    assert call(["probe", "gradient", "-m", NET, "--limit", "6", "-o", str(output)]) == 0
    return output


def test_files_of_model_and_twin_with_a_figure(measured: Path) -> None:
    names = [f"{NET}.gradient.parquet", f"{NET}.gradient.png", f"{NET}.gradient.svg"]
    names.append(f"{NET}@random.gradient.parquet")
    assert sorted(p.name for p in folder(measured).iterdir()) == sorted(names)
    rows, metadata = read(folder(measured) / names[0])
    assert rows.schema.remove_metadata() == probe_form(probe_class("gradient").columns).schema
    assert metadata["probe_name"] == "gradient"
    assert metadata["probe"]["logits"]
    assert metadata["kind"] == "probe"
    assert metadata["present"] == metadata["expected"] == {"samples": 6}
    assert metadata["complete"] is True
    assert metadata["partial"] is False
    assert metadata["control"] is False
    assert len(metadata["weights_sha256"]) == 64
    assert (folder(measured) / names[1]).read_bytes().startswith(b"\x89PNG")
    assert b"<svg" in (folder(measured) / names[2]).read_bytes()
    twin = read(folder(measured) / names[3])[1]
    assert twin["control"] is True
    assert twin["model"] == twin_name(NET) == f"{NET}@random"


def test_more_samples_are_added_and_what_is_there_stays(
    measured: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = bench.probe("gradient", NET, limit=6, output=measured)
    capsys.readouterr()
    after = bench.probe("gradient", NET, limit=9, output=measured)
    assert (len(before), len(after)) == (12, 18)
    assert not list(folder(measured).glob("*.blocks"))
    both = after[after["sample_id"] < 6].reset_index(drop=True)
    pd.testing.assert_frame_equal(both, before)
    again = bench.probe("gradient", NET, limit=6, output=measured)
    pd.testing.assert_frame_equal(again, before)
    one = subject(folder(measured) / f"{NET}.gradient.parquet", None)
    assert one.parts["samples"]["sample_id"].tolist() == list(range(9))
    assert one.metadata["present"] == {"samples": 9}


def test_a_call_keeps_nothing_on_disk_if_so_wished(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    rows = bench.probe("filters", NET, limit=4, twin=False, output=None)
    assert not list(tmp_path.iterdir())
    assert set(rows["model"]) == {NET}
    assert set(rows["attack"]) == {"images", "attack", "white", "pink", "sign", "image"}
    assert rows.groupby("attack")["sample_id"].apply(list).map(sorted).map(tuple).nunique() == 1


def test_a_run_of_other_settings_or_another_seed_is_not_mixed_in(measured: Path) -> None:
    with pytest.raises(BenchError, match="seed = "):
        bench.probe("gradient", NET, limit=6, seed=5, twin=False, output=measured)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["--limit", "0"], "expected --limit of at least 1, got 0"),
        (["--weights", "random"], "expected trained weights for a probe, got random"),
        (["--seed", "-1"], "expected --seed of at least 0, got -1"),
        (["--batch-size", "0"], "expected --batch-size of at least 1, got 0"),
        (["--device", "gpu"], "expected --device auto, cpu, cuda"),
    ],
)
def test_what_makes_no_sense_is_said_in_a_line(
    arguments: list[str], text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(["probe", "bands", "-m", NET, "-o", str(tmp_path), *arguments]) == 2
    shown = capsys.readouterr()
    assert text in shown.err
    assert len(shown.err.strip().splitlines()) == 1
    assert "Traceback" not in shown.err


def test_an_unknown_probe_and_an_unknown_model_are_named() -> None:
    with pytest.raises(BenchError, match=r"unknown probe 'band'.*'bands'"):
        bench.probe("band", NET, output=None)
    with pytest.raises(BenchError, match="unknown model"):
        bench.probe("bands", "fashionmnist-full-con", output=None)


@pytest.mark.parametrize("name", PROBES)
def test_every_probe_has_its_command_parts_columns_and_help(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    probe = probe_class(name)()
    assert probe.name == name
    assert len(set(probe.parts((1, 28, 28)))) == len(probe.parts((1, 28, 28))) >= 1
    assert not set(probe.columns) & set(HEAD)
    assert call(["probe", name, "--help"]) == 0
    assert f"bench probe {name} --model" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["bands", "heatmap", "filters"])
def test_tables_of_several_models_are_printed(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bench.probes.bands.box.STEPS", 40)
    parts = ("all", "band-3")
    monkeypatch.setattr("bench.probes.bands.probe.Bands.parts", lambda self, shape: parts)
    nets = ["-m", NET, "-m", "fashionmnist-local-conv"]
    assert call(["probe", name, *nets, "--limit", "5", "--no-twin", "-o", str(tmp_path)]) == 0
    shown = capsys.readouterr()
    for net in nets[1::2]:
        assert f"\n{net}: " in shown.out
        assert (folder(tmp_path) / f"{net}.{name}.svg").exists()
    assert ("Which frequencies carry the attack" in shown.out) == (name == "filters")
    assert "nan" not in shown.out
    assert "\x1b" not in shown.out


def closed_forms(net: str, rows: pd.DataFrame) -> Any:
    """Margin over the norm of the projected difference of weights, of each row; and dimensions."""
    model = bench.load_model(net).double()
    count = int(rows["sample_id"].max()) + 1
    images = open_model(Request.of(model=net, attacks=("min-l2",))).job.load(range(count)).double()
    origin = torch.zeros_like(images[:1])
    weight = torch.autograd.functional.jacobian(model, origin).view(10, 28, 28).numpy()
    spectra = np.fft.fft2(weight, norm="ortho")
    fy, fx = np.meshgrid(np.fft.fftfreq(28), np.fft.fftfreq(28), indexing="ij")
    number = np.minimum(np.hypot(fx, fy) * 2 / (np.sqrt(2) / 8) + 1e-12, 7.5).astype(int) + 1
    number[0, 0] = 0
    logits = model(images).numpy()
    found = []
    for row in rows.to_dict("records"):
        label, part, here = int(row["label"]), row["attack"], logits[row["sample_id"]]
        band = None if part == "all" else 0 if part == "dc" else int(part[-1])
        mask = np.ones((28, 28)) if band is None else number == band
        ways = [
            (here[label] - here[other]) / np.linalg.norm((spectra[other] - spectra[label]) * mask)
            for other in set(range(10)) - {label}
        ]
        found.append((min(ways), int(mask.sum())))
    return found


@pytest.mark.slow
def test_bands_of_a_carried_linear_net_are_its_closed_form(monkeypatch: pytest.MonkeyPatch) -> None:
    """To .2 %, measured now."""
    net = "fashionmnist-local-conv"
    monkeypatch.setattr("bench.probes.bands.box.STEPS", 0)
    rows = bench.probe("bands", net, limit=4, twin=False, output=None)
    rows = rows[rows["status"] == "ok"]
    assert len(rows) >= 20
    exact = closed_forms(net, rows)
    for row, (distance, dims) in zip(rows.to_dict("records"), exact, strict=True):
        assert row["dims"] == dims
        assert row["distance"] == pytest.approx(distance, rel=2e-3)
        assert bool(row["fooled"])
        assert bool(row["stationary"])
        assert row["leak"] < 1e-8
        assert min(row["white"]) >= row["distance"] * (1 - 1e-3)


@pytest.mark.parametrize("net", ["full-conv", "fully-connected", "local-conv"])
def test_the_board_s_bands_of_linear_nets_are_their_closed_forms(net: str) -> None:
    """To 1 %, of all samples and bands that the board shows."""
    place = REPOSITORY / "submissions" / "probes" / "fashionmnist"
    rows = read(place / f"fashionmnist-{net}.bands.parquet")[0].to_pandas()
    rows = rows[rows["status"] == "ok"]
    exact = closed_forms(f"fashionmnist-{net}", rows)
    assert len(rows) >= 800
    assert set(rows["attack"]) == set(probe_class("bands")().parts((1, 28, 28)))
    np.testing.assert_allclose(rows["distance"], [distance for distance, _ in exact], rtol=1e-2)
    assert rows["leak"].dropna().max() < 1e-6


def test_samples_that_not_every_part_has_are_left_out() -> None:
    schema = probe_form({"a": "float"}).schema
    tables = []
    for part, count in (("x", 3), ("y", 2)):
        columns = {"sample_id": range(count), "a": [1.0 * i for i in range(count)]}
        columns |= {"label": [0] * count, "reference": [0] * count, "status": ["ok"] * count}
        columns |= {"seconds": [0.1] * count}
        same = {"probe": "p", "model": "m", "dataset": "d", "attack": part}
        tables.append(probe_table(columns, same, schema))
    found = arrays(joined(tables))
    assert {part: c["a"].tolist() for part, c in found.items()} == {"x": [0, 1], "y": [0, 1]}


class Killed(BaseException):
    """Ends a process in the middle."""


def test_a_killed_run_goes_on_where_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two parts are kept, the third is lost; then only what is missing is measured."""
    whole = bench.probe("filters", NET, limit=4, twin=False, output=tmp_path / "whole")
    plain, parts = Filters.measure, list[str]()

    def counted(self: Filters, job: Any, part: str, ids: Any, control: bool) -> Any:
        if len(parts) == 2 and stop:
            raise Killed
        parts.append(part)
        return plain(self, job, part, ids, control)

    monkeypatch.setattr(Filters, "measure", counted)
    stop = True
    with pytest.raises(Killed):
        bench.probe("filters", NET, limit=4, twin=False, output=tmp_path / "again")
    assert not (folder(tmp_path / "again") / f"{NET}.filters.parquet").exists()
    assert len(parts) == 2
    stop = False
    found = bench.probe("filters", NET, limit=4, twin=False, output=tmp_path / "again")
    assert sorted(parts) == sorted(Filters().parts((1, 28, 28)))  # none of them twice
    pd.testing.assert_frame_equal(
        found.drop(columns="seconds"), whole.drop(columns="seconds"), check_exact=True
    )
