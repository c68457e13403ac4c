"""`bench.evaluate` on real data and real weights, with the short protocol `quick`."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
import torch
from conftest import MODEL
from test_spectrum import numpy_reference
from torch import Tensor

import bench
from bench.entries import registry
from bench.errors import BenchError

pytestmark = pytest.mark.usefixtures("caro_ranks")

ATTACKS = ["pgd-linf", "pgd-l2", "pgd-l1", "bb-linf", "bb-l2"]

COLUMNS = [
    "protocol",
    "protocol_hash",
    "attack_hash",
    "model",
    "dataset",
    "attack",
    "sample_id",
    "label",
    "clean_pred",
    "adv_pred",
    "clean_correct",
    "success",
    "status",
    "l0",
    "l1",
    "l2",
    "linf",
    "clip_share",
    "rfc",
    "hfe",
    "f50",
    "kappa_high",
    "dc_share",
    "axis_share",
    "entropy",
    "image_rfc",
    "grad_rfc",
    "radial_energy",
    "log_luma_profile",
    "zero_grad",
    "seconds",
]


def evaluate(output: Path | None, **options: object) -> pd.DataFrame:
    return bench.evaluate(MODEL, protocol="quick", output=output, **options)  # type: ignore[arg-type]


def result(folder: Path, kind: str = "") -> Path:
    return folder / "quick" / "fashionmnist" / f"{MODEL}{kind}.parquet"


def metadata(path: Path) -> dict[str, object]:
    return json.loads(pq.read_schema(path).metadata[b"bench"])


@pytest.fixture(scope="module")
def full(quick_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A complete run of all five attacks on 48 samples, with perturbations."""
    folder = tmp_path_factory.mktemp("full")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BENCH_REGISTRY", str(quick_folder))
        evaluate(folder, batch_size=16, save_perturbations=True)
    return folder


def same(first: pd.DataFrame, second: pd.DataFrame) -> None:
    """Bit-identical, but for the time it took."""
    pd.testing.assert_frame_equal(
        first.drop(columns="seconds"), second.drop(columns="seconds"), check_exact=True
    )


def test_columns_and_metadata_are_the_contract(full: Path, quick: Path) -> None:
    table = pq.read_table(result(full))
    assert table.schema.names == COLUMNS
    assert len(table) == 5 * 48
    assert {str(table.schema.field(n).type) for n in ("l0", "rfc", "grad_rfc")} == {"double"}
    assert str(table.schema.field("sample_id").type) == "int64"
    assert str(table.schema.field("label").type) == "int32"
    assert table.schema.field("radial_energy").type.list_size == 64
    found = metadata(result(full))
    protocol = registry.protocol("quick")
    assert found["protocol_hash"] == protocol.hash("fashionmnist")
    assert found["complete"] is True
    assert found["partial"] is False
    assert found["present"] == found["expected"] == dict.fromkeys(ATTACKS, 48)
    assert found["input_shape"] == [1, 28, 28]
    entry = registry.model(MODEL)
    assert entry.weights is not None
    assert found["weights_sha256"] == entry.weights.sha256
    fashion = registry.dataset("fashionmnist")
    assert len(str(found["data_fingerprint"])) == 64 != fashion.fingerprints.test
    for key in ("versions", "git", "device", "numerics", "n_params", "family", "type", "started"):
        assert found[key], key


def spectra_agree(folder: Path, **within: float) -> int:
    """Hold rows against numpy on the perturbations that were saved with them; return how many."""
    rows = pq.read_table(result(folder)).to_pandas().set_index(["attack", "sample_id"])
    saved = pq.read_table(result(folder, ".perturbations"))
    assert str(saved.schema.field("delta").type) == "list<element: float>"
    assert len(saved) == int(rows["clean_correct"].sum())
    for row in saved.to_pylist():
        delta = np.array(row["delta"], dtype=np.float32).reshape(row["shape"]).astype(np.float64)
        columns = rows.loc[(row["attack"], row["sample_id"])]
        expected = numpy_reference(delta) | {
            "l1": np.abs(delta).sum(),
            "l2": np.linalg.norm(delta),
            "linf": np.abs(delta).max(),
        }
        near = within if row["bits"] == 16 else {"abs": 1e-6}
        for name, value in expected.items():
            assert columns[name] == pytest.approx(value, **near), (name, row["attack"])
    return len(saved)


def test_spectra_agree_with_numpy_on_the_saved_perturbations(full: Path) -> None:
    # stored at the precision of a float16, where no metric notices
    assert spectra_agree(full, rel=1e-3, abs=5e-4) > 100


def test_spectra_agree_with_numpy_on_the_very_perturbations(
    quick: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def exact(clean: Tensor, delta: Tensor, *_: object) -> tuple[Tensor, Tensor]:
        return delta, torch.full((len(delta),), 32, dtype=torch.int8)

    monkeypatch.setattr("bench.measure.block.lean", exact)
    evaluate(tmp_path, save_perturbations=True)
    assert spectra_agree(tmp_path) > 100


def test_extras_hold_mean_spectra_and_examples(full: Path) -> None:
    extras = pq.read_table(result(full, ".extras")).to_pandas()
    rows = pq.read_table(result(full)).to_pandas()
    for attack in ATTACKS:
        mine = extras[extras["attack"] == attack]
        spectrum = mine[mine["kind"] == "spectrum"].iloc[0]
        kept = rows[(rows["attack"] == attack) & (rows["status"] == "ok")]
        assert spectrum["n"] == len(kept)
        p = np.asarray(spectrum["values"]).reshape(spectrum["shape"])
        assert p.sum() == pytest.approx(1, abs=1e-5)
        # linear in p: the centroid of the mean spectrum is the mean of the centroids
        f = np.fft.fftshift(np.fft.fftfreq(28))
        r = np.hypot(f[:, None], f[None]) / 0.5
        assert (r * p).sum() == pytest.approx(kept["rfc"].mean(), abs=1e-5)
        assert (mine["kind"] == "example").sum() == 4


def test_budgets_hold(full: Path) -> None:
    rows = pq.read_table(result(full)).to_pandas()
    for attack, spec in registry.protocol("caro2024").attacks.items():
        budget = spec.budget(784)
        if budget is not None:
            norms = rows.loc[rows["attack"] == attack, spec.norm].dropna()
            assert norms.max() <= budget * (1 + 1e-5)
            assert norms.max() > 0.5 * budget


def test_a_second_run_reuses_the_first(
    full: Path, quick: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class RunAgainError(BaseException):  # no Exception: of those a unit may have some
        pass

    def never(*arguments: object, **options: object) -> None:
        raise RunAgainError

    before = result(full).stat().st_mtime_ns
    monkeypatch.setattr("bench.run.local.run_block", never)
    rows = evaluate(full, batch_size=16)
    assert len(rows) == 5 * 48
    assert result(full).stat().st_mtime_ns == before
    with pytest.raises(RunAgainError):
        evaluate(full, attacks=["pgd-l1"], overwrite=True)


def test_overwriting_an_attack_leaves_the_others_and_nothing_is_lost_before_the_end(
    quick: Path, tmp_path: Path
) -> None:
    first = evaluate(tmp_path, attacks=["pgd-l1", "pgd-l2"], batch_size=16)
    before = result(tmp_path).read_bytes()
    with pytest.raises(KeyboardInterrupt):
        evaluate(tmp_path, attacks=["pgd-l1"], overwrite=True, progress=Stop(20))
    assert result(tmp_path).read_bytes() == before
    again = evaluate(tmp_path, attacks=["pgd-l1"], overwrite=True, batch_size=16)
    same(again, first[first["attack"] == "pgd-l1"].reset_index(drop=True))
    rows = pq.read_table(result(tmp_path)).to_pandas()
    kept = rows[rows["status"] == "ok"].groupby("attack", observed=True).size()
    spectra = pq.read_table(result(tmp_path, ".extras")).to_pandas()
    counts = spectra[spectra["kind"] == "spectrum"].set_index("attack")["n"]
    assert counts.to_dict() == kept.to_dict()
    assert len(rows) == 96


class Stop:
    """Interrupts after some samples."""

    def __init__(self, after: int) -> None:
        self.left = after

    def begin(self, attack: str, total: int, done: int) -> None:
        pass

    def note(self, text: str) -> None:
        pass

    def advance(self, attack: str, samples: int) -> None:
        self.left -= samples
        if self.left < 0:
            raise KeyboardInterrupt


@pytest.mark.parametrize(("after", "finished"), [(0, 0), (40, 1), (100, 4)])
def test_interrupted_and_resumed_is_bit_identical(
    after: int, finished: int, quick: Path, tmp_path: Path
) -> None:
    attacks = ["pgd-l2", "bb-l2", "bb-linf"]
    whole = evaluate(tmp_path / "whole", attacks=attacks, batch_size=16)
    with pytest.raises(KeyboardInterrupt):
        evaluate(tmp_path / "broken", attacks=attacks, batch_size=16, progress=Stop(after))
    blocks = list((tmp_path / "broken").rglob("*.rows.parquet"))
    assert len(blocks) == finished
    same(whole, evaluate(tmp_path / "broken", attacks=attacks, batch_size=16))
    assert not list((tmp_path / "broken").rglob("*.blocks"))


def test_killed_process_resumes(quick_folder: Path, quick: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "bench", "eval", "-m", MODEL, "--protocol", "quick"]
    command += ["-a", "bb-l2", "-a", "pgd-l2", "--batch-size", "4", "-o", str(tmp_path / "killed")]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL, env=dict(os.environ))
    deadline = time.monotonic() + 120
    while not list((tmp_path / "killed").rglob("*.rows.parquet")):
        assert time.monotonic() < deadline, "no block was written"
        assert process.poll() is None, "the run ended before it could be killed"
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.wait()
    options = {"attacks": ["pgd-l2", "bb-l2"], "batch_size": 4}
    same(evaluate(tmp_path / "whole", **options), evaluate(tmp_path / "killed", **options))


@pytest.mark.parametrize("batch", [1, 7, 64])
def test_other_batches_agree_within_the_contract(
    batch: int, full: Path, quick: Path, tmp_path: Path
) -> None:
    reference = pq.read_table(result(full)).to_pandas()
    rows = evaluate(tmp_path, batch_size=batch)
    assert (rows["attack"].to_numpy() == reference["attack"].astype(str).to_numpy()).all()
    assert (rows["success"] == reference["success"]).all()
    assert (rows["status"] == reference["status"]).all()
    measured = reference["rfc"].notna()
    rfc = (rows["rfc"] - reference["rfc"])[measured].abs() <= 1e-3
    norm = ((rows["l2"] - reference["l2"]) / reference["l2"])[measured].abs() <= 1e-3
    assert (rfc & norm).mean() >= 0.99


def test_limit_is_partial_and_a_prefix_of_the_full_run(
    full: Path, quick: Path, tmp_path: Path
) -> None:
    few = evaluate(tmp_path, limit=16, attacks=["bb-l2"], batch_size=16)
    path = tmp_path / "partial" / "quick" / "fashionmnist" / f"{MODEL}.parquet"
    assert metadata(path)["partial_reasons"] == ["first 16 of 48 samples"]
    reference = pq.read_table(result(full)).to_pandas()
    reference = reference[(reference["attack"] == "bb-l2") & (reference["sample_id"] < 16)]
    # the starts come from the whole pool whatever --limit says
    assert (few["success"].to_numpy() == reference["success"].to_numpy()).all()
    assert np.allclose(few["l2"], reference["l2"], rtol=1e-3, equal_nan=True)
    more = evaluate(tmp_path, limit=40, attacks=["bb-l2"], batch_size=16)
    assert more["sample_id"].tolist() == list(range(40))
    assert len(evaluate(tmp_path, limit=16, attacks=["bb-l2"], batch_size=16)) == 16


def test_attacks_evaluated_at_different_times_share_a_file(quick: Path, tmp_path: Path) -> None:
    evaluate(tmp_path, attacks=["bb-l2"])
    assert metadata(result(tmp_path))["complete"] is False
    evaluate(tmp_path, attacks=["pgd-linf", "pgd-l1"])
    rows = pq.read_table(result(tmp_path)).to_pandas()
    assert rows["attack"].astype(str).drop_duplicates().tolist() == ["pgd-linf", "pgd-l1", "bb-l2"]
    spectra = pq.read_table(result(tmp_path, ".extras")).to_pandas()
    assert sorted(spectra.loc[spectra["kind"] == "spectrum", "attack"]) == sorted(
        set(rows["attack"])
    )
    evaluate(tmp_path, attacks=["pgd-l2", "bb-linf"])
    assert metadata(result(tmp_path))["complete"] is True


def test_perturbations_asked_for_later_are_made(quick: Path, tmp_path: Path) -> None:
    first = evaluate(tmp_path, attacks=["pgd-l2"])
    assert not result(tmp_path, ".perturbations").exists()
    second = evaluate(tmp_path, attacks=["pgd-l2"], save_perturbations=True)
    same(first, second)
    saved = pq.read_table(result(tmp_path, ".perturbations"))
    assert len(saved) == int(first["clean_correct"].sum())
    extras = pq.read_table(result(tmp_path, ".extras")).to_pandas()
    assert extras.loc[extras["kind"] == "spectrum", "n"].tolist() == [
        (first["status"] == "ok").sum()
    ]


def test_random_weights_are_a_control(quick: Path, tmp_path: Path) -> None:
    rows = evaluate(tmp_path, attacks=["pgd-l2"], weights="random")
    assert set(rows["model"]) == {f"{MODEL}@random"}
    found = metadata(result(tmp_path, "@random"))
    assert found["control"] is True


def test_other_seeds_are_partial(quick: Path, tmp_path: Path) -> None:
    evaluate(tmp_path, attacks=["bb-l2"], seed=1, limit=4)
    found = metadata(next((tmp_path / "partial").rglob(f"{MODEL}.parquet")))
    assert "seed 1 is not the protocol's 2024" in str(found["partial_reasons"])


def test_other_weights_never_mix_with_what_is_there(quick: Path, tmp_path: Path) -> None:
    evaluate(tmp_path, attacks=["pgd-l1"])
    other = tmp_path / "other.safetensors"
    from bench.models.checkpoint import write_checkpoint

    write_checkpoint(other, bench.load_model(MODEL, weights="random").state_dict(), {})
    with pytest.raises(BenchError, match="was made with weights_sha256"):
        evaluate(tmp_path, attacks=["pgd-l2"], weights=other)
    assert len(evaluate(tmp_path, attacks=["pgd-l2"], weights=other, overwrite=True)) == 48


def test_foreign_files_in_the_way_are_left_alone(quick: Path, tmp_path: Path) -> None:
    path = result(tmp_path)
    path.parent.mkdir(parents=True)
    for content in (b"not parquet", None):
        if content is None:
            pd.DataFrame({"a": [1]}).to_parquet(path)
        else:
            path.write_bytes(content)
        before = path.read_bytes()
        for overwrite in (False, True):
            with pytest.raises(BenchError, match="expected a result file of this project"):
                evaluate(tmp_path, attacks=["pgd-l1"], overwrite=overwrite)
        assert path.read_bytes() == before


@pytest.mark.parametrize(("files", "finished"), [(1, 0), (3, 1), (4, 2)])
def test_a_full_disk_keeps_what_is_done(
    files: int, finished: int, quick: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, written = pq.write_table, []

    def full_after_some(table: object, where: Path, **options: object) -> None:
        written.append(where)
        if len(written) > files:
            raise OSError(errno.ENOSPC, "No space left on device")
        real(table, where, **options)

    monkeypatch.setattr(pq, "write_table", full_after_some)
    with pytest.raises(
        BenchError, match=r"No space left on device; free space there \(at most \d+\.\d MiB for all"
    ):
        evaluate(tmp_path, attacks=["pgd-l2"], batch_size=16)
    monkeypatch.undo()
    monkeypatch.setenv("BENCH_REGISTRY", str(quick))
    assert len(list(tmp_path.rglob("*.rows.parquet"))) == finished
    assert not list(tmp_path.rglob("*.tmp"))
    whole = evaluate(tmp_path / "whole", attacks=["pgd-l2"], batch_size=16)
    same(whole, evaluate(tmp_path, attacks=["pgd-l2"], batch_size=16))


def test_nothing_is_kept_without_output(quick: Path, tmp_path: Path) -> None:
    os.chdir(tmp_path)
    assert len(evaluate(None, attacks=["pgd-l1"], limit=8)) == 8
    assert not list(tmp_path.iterdir())
