"""Metrics from stored perturbations; and perturbations in fewer bytes."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from test_growth import grown
from test_reference import fashion

import bench
from bench.cli.main import call
from bench.errors import BenchError
from bench.measure.lean import FULL, HALF, lean, measure, restored, rounded
from bench.metrics import METRICS, by_name

MODEL = "fashionmnist-local-conv"
ATTACKS = ["pgd-linf", "bb-l2"]


@pytest.fixture(scope="module")
def made(quick_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A result of two attacks with perturbations."""
    folder = tmp_path_factory.mktemp("made")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BENCH_REGISTRY", str(quick_folder))
        bench.evaluate(
            MODEL, protocol="quick", attacks=ATTACKS, output=folder, save_perturbations=True
        )
    return folder


@pytest.fixture
def folder(made: Path, quick: Path, tmp_path: Path) -> Path:
    shutil.copytree(made, tmp_path / "results")
    return tmp_path / "results"


def file(folder: Path, kind: str = "") -> Path:
    return folder / "quick" / "fashionmnist" / f"{MODEL}{kind}.parquet"


def rewrite(
    path: Path, change: dict[str, object], metadata: dict[str, object] | None = None
) -> None:
    """Write a file again with some columns, or metadata, changed; a column None is dropped."""
    table = pq.read_table(path)
    for name, values in change.items():
        place = table.schema.get_field_index(name)
        if values is None:
            table = table.drop([name])
        else:
            table = table.set_column(place, table.schema.field(name), [values])
    if metadata is not None:
        known = json.loads(table.schema.metadata[b"bench"]) | metadata
        table = table.replace_schema_metadata({b"bench": json.dumps(known)})
    pq.write_table(table, path)


def rows(folder: Path) -> pd.DataFrame:
    return pq.read_table(file(folder)).to_pandas()


def rescore(folder: Path, **options: object) -> pd.DataFrame:
    return bench.rescore(MODEL, protocol="quick", output=folder, **options)  # type: ignore[arg-type]


# ---------------------------------------------------------------- fewer bytes


def test_rounding_is_that_of_a_float16() -> None:
    values = torch.from_numpy(np.random.default_rng(0).normal(size=5000).astype(np.float32))
    assert torch.equal(rounded(values), values.half().float())
    tiny = values * 1e-6  # below float16's normal range: precision stays
    assert ((rounded(tiny) - tiny).abs() <= 2.0**-11 * tiny.abs()).all()
    assert torch.equal(rounded(torch.tensor([0.0, 1.0, -1.0])), torch.tensor([0.0, 1.0, -1.0]))


def batch(delta: torch.Tensor, clean: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, dict]:
    """Return delta in the box, clean images and all metrics."""
    adversarial = (clean + delta).clamp(0, 1)
    none = torch.zeros(len(clean), dtype=torch.float64)
    measured = measure(clean, adversarial, none, none)
    metrics = {m.name: m.values(measured) for m in METRICS}
    return adversarial - clean, lean(clean, adversarial - clean, metrics, measured), metrics  # type: ignore[return-value]


def test_half_precision_where_no_metric_notices() -> None:
    generator = torch.Generator().manual_seed(0)
    clean = torch.rand(6, 1, 28, 28, generator=generator)
    clean[:, :, :9] = 0
    noise = 0.1 * torch.randn(6, 1, 28, 28, generator=generator)
    delta, (stored, bits), metrics = batch(noise, clean)
    assert (bits == HALF).all()
    assert (stored == rounded(stored)).all()
    # what left [0, 1] is at the bound again, exactly
    again = restored(clean, stored, bits)
    bounds = ((clean + noise) <= 0) | ((clean + noise) >= 1)
    assert torch.equal(again[bounds], (clean + delta)[bounds].clamp(0, 1))
    none = torch.zeros(6, dtype=torch.float64)
    found = measure(clean, again, none, none)
    assert (found.spectrum["rfc"] - metrics["rfc"]).abs().max() < 2e-4
    assert torch.equal(by_name()["clip_share"].values(found), metrics["clip_share"])


def test_full_precision_where_a_metric_would_notice() -> None:
    """Almost all energy at DC: rounding noise is as large as the rest, and moves the centroid."""
    generator = torch.Generator().manual_seed(0)
    clean = torch.full((2, 1, 28, 28), 0.25)
    smooth = torch.cos(2 * torch.pi * torch.arange(28) / 28).expand(28, 28)
    delta = 0.3 + 1e-5 * smooth.expand(2, 1, 28, 28).clone()
    delta[1] = 0.2 * torch.randn(1, 28, 28, generator=generator)
    exact, (stored, bits), _ = batch(delta, clean)
    assert bits.tolist() == [FULL, HALF]
    assert torch.equal(stored[0], exact[0])
    assert torch.equal(restored(clean, stored, bits)[0], clean[0] + exact[0])


def test_what_is_written_is_lean(folder: Path) -> None:
    saved = pq.read_table(file(folder, ".perturbations"))
    assert saved.schema.field("delta").type == pa.list_(pa.float32())
    assert set(saved["bits"].to_pylist()) <= {HALF, FULL}
    values = torch.from_numpy(saved["delta"].combine_chunks().flatten().to_numpy().copy())
    half = torch.tensor([b == HALF for b in saved["bits"].to_pylist()]).repeat_interleave(784)
    assert half.double().mean() > 0.9
    assert torch.equal(values[half], rounded(values[half]))


# ---------------------------------------------------------------- rescoring


def test_everything_again_is_the_same_within_tolerances(folder: Path) -> None:
    before = rows(folder)
    found = rescore(folder, everything=True)
    assert found["written"].all()
    assert (found["filled"] == 0).all()
    assert set(found["metric"]) == {m.name for m in METRICS} - {"grad_rfc"}
    after = rows(folder)
    assert list(before.columns) == list(after.columns)
    kept = before["success"].to_numpy()
    assert kept.sum() > 30
    assert np.abs(after["rfc"] - before["rfc"]).max() < 1e-3
    assert np.abs(after["l2"] / before["l2"] - 1)[kept].max() < 1e-3
    for name in ("sample_id", "status", "adv_pred", "grad_rfc", "seconds", "image_rfc"):
        pd.testing.assert_series_equal(before[name], after[name])
    for name in by_name():
        assert (before[name].isna() == after[name].isna()).all(), name
    known = json.loads(pq.read_schema(file(folder)).metadata[b"bench"])
    assert len(known["rescored"]) == 1


def test_nothing_is_written_where_nothing_lacks(folder: Path) -> None:
    before = file(folder).read_bytes()
    assert not rescore(folder)["written"].any()
    assert file(folder).read_bytes() == before


def test_what_an_earlier_version_lacks_is_filled(folder: Path) -> None:
    before = rows(folder)
    stated = json.loads(pq.read_schema(file(folder)).metadata[b"bench"])["metrics"]
    del stated["entropy"]
    rewrite(file(folder), {"entropy": None}, {"metrics": stated | {"hfe": 7}})
    found = rescore(folder)
    written = found[found["written"]]
    assert set(written["metric"]) == {"entropy", "hfe"}  # one lacks, one follows another definition
    assert (written["filled"] > 0).all()
    after = rows(folder)
    for name in ("entropy", "hfe"):
        assert (before[name].isna() == after[name].isna()).all()
        assert np.abs(before[name] - after[name]).max() < 1e-3
    known = json.loads(pq.read_schema(file(folder)).metadata[b"bench"])
    assert known["metrics"]["hfe"] == known["metrics"]["entropy"] == 1
    assert known["rescored"][0]["metrics"] == ["entropy", "hfe"]
    # the run goes on as ever: nothing is measured again
    again = bench.evaluate(MODEL, protocol="quick", attacks=ATTACKS, output=folder)
    assert again["seconds"].dropna().tolist() == before["seconds"].dropna().tolist()


def test_a_new_metric_is_measured_without_attacking(folder: Path) -> None:
    found = grown("rescore", folder)
    assert set(found["metrics"]) == {"r2"}
    table = rows(folder)
    assert found["filled"] == table["rfc"].notna().sum() > 60
    np.testing.assert_allclose(table["r2"], table["rfc"] ** 2, rtol=1e-3)


def test_perturbations_of_another_result_are_refused(folder: Path) -> None:
    before = file(folder).read_bytes()
    side = file(folder, ".perturbations")
    table = pq.read_table(side)
    rewrite(side, {"delta": table["delta"].take(pa.array(np.arange(len(table))[::-1]))})
    with pytest.raises(BenchError, match="expected the perturbations and images of these rows"):
        rescore(folder, metrics=["entropy"])
    assert file(folder).read_bytes() == before


def test_other_images_are_refused(folder: Path) -> None:
    rewrite(file(folder), {}, {"data_fingerprint": "0" * 64})
    with pytest.raises(BenchError, match="expected the images that the result was measured on"):
        rescore(folder)


def test_files_of_before_are_exact(folder: Path) -> None:
    """Without `bits` values are taken as they are: right for a file of before, seen else."""
    side = file(folder, ".perturbations")
    table = pq.read_table(side)
    rewrite(side, {"bits": None})
    with pytest.raises(BenchError, match="clip_share"):
        rescore(folder)
    clean, _ = fashion(48)
    clean = clean[torch.from_numpy(table["sample_id"].to_numpy().copy())]
    stored = np.stack(table["delta"].to_numpy()).reshape(clean.shape)
    bits = torch.from_numpy(table["bits"].to_numpy().copy())
    exact = restored(clean, torch.from_numpy(stored), bits) - clean
    rewrite(side, {"delta": pa.array(list(exact.flatten(1).numpy()), pa.list_(pa.float32()))})
    assert not rescore(folder)["written"].any()


def test_a_run_goes_on_beside_perturbations_of_before(folder: Path) -> None:
    rewrite(file(folder, ".perturbations"), {"bits": None})
    bench.evaluate(
        MODEL, protocol="quick", attacks=["pgd-l2"], output=folder, save_perturbations=True
    )
    saved = pq.read_table(file(folder, ".perturbations")).to_pandas()
    assert saved.groupby("attack")["bits"].apply(lambda b: b.isna().all()).to_dict() == {
        "bb-l2": True, "pgd-l2": False, "pgd-linf": True,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--metric", "entrpy"], "did you mean 'entropy'"),
        (["--metric", "grad_rfc"], "needs the model"),
        (["--protocol", "minimal2026"], "expected a result at"),
    ],
)
def test_what_can_t_be_done_is_said(
    folder: Path, options: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    base = ["rescore", "-m", MODEL, "-o", str(folder)]
    base += [] if "--protocol" in options else ["--protocol", "quick"]
    assert call([*base, *options]) == 2
    assert said in capsys.readouterr().err
    file(folder, ".perturbations").unlink()
    assert call(["rescore", "-m", MODEL, "-o", str(folder), "--protocol", "quick"]) == 2
    assert "expected stored perturbations" in capsys.readouterr().err


def test_the_command_shows_what_it_did(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    base = ["rescore", "-m", MODEL, "-o", str(folder), "--protocol", "quick"]
    assert call([*base, "--metric", "entropy"]) == 0
    assert "written" in capsys.readouterr().out
    assert call(base) == 0
    assert "The file lacks none of them" in capsys.readouterr().out
