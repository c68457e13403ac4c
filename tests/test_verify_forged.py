"""Forged submissions: each kind is caught by `check` or by `verify`, or changes nothing shown.

A real submission of the repository is forged in every way that we could think of, always in all of
its rows or pictures; a share of the rows is caught as often as `verify` prints. The model is real
and measured again for real, once: the rows that are looked at are the same for each forgery.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conftest import REPOSITORY

from bench.grid import BIN_WIDTH, BINS, frequency_grid, ring_counts
from bench.metrics import FIRST
from bench.results import schema
from bench.results.stated import stated_columns
from bench.run.request import Request
from bench.submissions.check.check import check_submission, group
from bench.submissions.check.places import collect
from bench.submissions.verify import remeasure
from bench.submissions.verify.judge import Look, Values
from bench.submissions.verify.remeasure import Measure, Verification, verify

NAME = "fashionmnist-fully-connected"
SOURCE = REPOSITORY / "submissions" / "caro2024" / "fashionmnist"
SIZE = 28


@dataclass
class Forged:
    """A submission taken apart: columns (5000 rows), metadata, rows of the side file."""

    columns: dict[str, Any]
    meta: dict[str, Any]
    side: list[dict[str, Any]]
    rng: np.random.Generator = field(default_factory=lambda: np.random.default_rng(0))

    @property
    def there(self) -> Any:
        """Rows with a spectrum."""
        return ~np.isnan(self.columns["rfc"])


@cache
def original() -> tuple[pa.Table, list[dict[str, Any]]]:
    table = pq.read_table(SOURCE / f"{NAME}.parquet")
    return table, pq.read_table(SOURCE / f"{NAME}.extras.parquet").to_pylist()


def taken_apart() -> Forged:
    table, side = original()
    columns = {k: np.array(v) for k, v in stated_columns(SOURCE / f"{NAME}.parquet", FIRST).items()}
    columns["seconds"] = table["seconds"].to_numpy().copy()
    meta = json.loads(table.schema.metadata[schema.METADATA_KEY])
    return Forged(columns, meta, [dict(row) for row in side])


def put_together(folder: Path, forged: Forged) -> Path:
    table, _ = original()
    arrays = []
    for one in table.schema:
        old = table[one.name].combine_chunks()
        if one.name not in forged.columns or one.name in ("attack", "status"):
            new = forged.columns.get(one.name)
            arrays.append(old if new is None else pa.array(new.tolist()).cast(pa.string()))
            continue
        values = forged.columns[one.name]
        if pa.types.is_fixed_size_list(one.type):
            flat = pa.array(values.astype(np.float16).ravel())
            gone = pa.array(np.isnan(values).all(axis=1))
            kind = pa.list_(pa.float16(), BINS)
            arrays.append(pa.FixedSizeListArray.from_arrays(flat, type=kind, mask=gone))
        elif pa.types.is_boolean(one.type):
            arrays.append(pa.array(values > 0, mask=values < 0))
        elif pa.types.is_integer(one.type):
            arrays.append(pa.array(values, type=one.type, mask=values < 0))
        else:
            arrays.append(pa.array(values, type=one.type))
    names = table.schema.names
    made = pa.table(dict(zip(names, arrays, strict=True)))
    made = made.replace_schema_metadata({schema.METADATA_KEY: json.dumps(forged.meta)})
    path = folder / "caro2024" / "fashionmnist" / f"{NAME}.parquet"
    path.parent.mkdir(parents=True)
    pq.write_table(made, path, compression="zstd")
    side = pa.Table.from_pylist(forged.side, schema=schema.EXTRAS)
    pq.write_table(side, path.with_name(f"{NAME}.extras.parquet"))
    return path


class Cached(Measure):
    """Measures each row once for all forgeries."""

    rows: Mapping[tuple[str, int, Look], tuple[Values, Any]] = {}

    def __call__(self, attack: str, ids: Sequence[int], how: Look) -> dict[int, Values]:
        if any((attack, i, "together") not in self.rows for i in ids):
            found = super().__call__(attack, ids, "together")
            deltas = {i: self.deltas.get((attack, i), [None])[0] for i in ids}
            Cached.rows = {
                **self.rows,
                **{(attack, i, "together"): (found[i], deltas[i]) for i in ids},
            }
        for i in ids:
            delta = self.rows[attack, i, "together"][1]
            self.deltas[attack, i] = [] if delta is None else [delta]
        return {i: self.rows[attack, i, "together"][0] for i in ids}


@pytest.fixture
def judged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[Forged], tuple[str, str]]:
    """What `check` and `verify` say of a forgery: their lines."""
    rows = [(a, 60 * k + i) for k, a in enumerate(original()[0]["attack"].unique().to_pylist())
            for i in (1, 18, 33)] + [("bb-l2", 501)]  # fmt: skip
    monkeypatch.setattr(remeasure, "choose", lambda *_: rows)
    monkeypatch.setattr(remeasure, "Measure", Cached)

    def judge(forged: Forged) -> tuple[str, str]:
        path = put_together(tmp_path / "forged", forged)
        places, problems = collect([tmp_path / "forged"])
        for members in group(places):
            problems += check_submission(members)
        if problems:
            return "\n".join(map(str, problems)), ""
        found = verify(
            path, 16, "s", "x", Request.of(data="embedded", output=tmp_path, device="cpu")
        )
        assert len(found.verdicts) == 16
        return "", lines(found)

    return judge


def lines(found: Verification) -> str:
    bad = [str(v) for v in found.verdicts if v.outcome != "reproduced"]
    if found.record.verdict == "reproduced":
        return "" if not bad else "few: " + "\n".join(bad)
    return "\n".join([*bad, *found.others])


# ---------------------------------------------------------------- rows


def reshaped(f: Forged) -> None:
    """Energy from above half of Nyquist to just below it, with the same centroid."""
    c, centre = f.columns, (np.arange(BINS) + 0.5) * BIN_WIDTH
    counts = ring_counts(SIZE, SIZE)
    filled = np.flatnonzero(counts > 0)
    below = filled[centre[filled] < 0.49][-1]
    rows = np.flatnonzero(f.there)
    for i in rows:
        rfc = c["rfc"][i]
        other = filled[-3] if rfc > centre[below] else filled[1]
        share = (rfc - centre[below]) / (centre[other] - centre[below])
        energy = np.zeros(BINS)
        energy[below], energy[other] = 1 - share, share
        c["radial_energy"][i] = energy
        c["hfe"][i] = share if other > below else 0.0
        place = below if share < 0.5 else other
        radii = frequency_grid(SIZE, SIZE).radii
        c["f50"][i] = radii[np.floor(radii / BIN_WIDTH).astype(int) == place][0]
        c["log_luma_profile"][i] = np.where(np.isnan(c["log_luma_profile"][i]), np.nan, -27.0)
    f.side = []


def column(name: str, change: Callable[[Any], Any]) -> Callable[[Forged], None]:
    def forge(f: Forged) -> None:
        values = f.columns[name]
        f.columns[name] = np.where(f.there if values.ndim == 1 else f.there[:, None],
                                   change(values), values)  # fmt: skip

    return forge


def smaller(f: Forged) -> None:
    """Every minimal norm 10 % smaller, and all that follows from it."""
    for name in ("l1", "l2", "linf"):
        f.columns[name] = f.columns[name] * 0.9
    f.columns["log_luma_profile"] = f.columns["log_luma_profile"] + np.log(0.9)
    for row in f.side:
        if row["kind"] == "example":
            row["delta"] = [0.9 * v for v in row["delta"]]


def a_little(f: Forged) -> None:
    """The centroid of all rows .005 lower: five tolerances, too little to contradict one row."""
    f.columns["rfc"] = f.columns["rfc"] - 0.005
    f.side = []


def of_another(f: Forged) -> None:
    """The numbers of another model, whose name and weights stay out of it."""
    other = stated_columns(SOURCE / "fashionmnist-full-conv.parquet", FIRST)
    f.columns |= {k: np.array(v) for k, v in other.items()}
    f.columns["seconds"] = np.full(len(other["label"]), 0.01, dtype=np.float32)
    f.side = []


def easier(f: Forged) -> None:
    """Samples that were classified wrong get the numbers of one that was not."""
    c = f.columns
    for attack in np.unique(c["attack"]):
        here = np.flatnonzero(c["attack"] == attack)
        right = here[c["success"][here] == 1]
        for k, i in enumerate(here[c["clean_correct"][here] == 0]):
            for name in c:
                if name not in ("attack", "sample_id", "label", "image_rfc", "adv_pred"):
                    c[name][i] = c[name][right[k]] * (1 + 1e-9 * k) if name == "l2" else c[name][
                        right[k]]  # fmt: skip
            c["clean_pred"][i], c["grad_rfc"][i] = c["label"][i], 0.5
            c["adv_pred"][i] = (c["label"][i] + 1) % 10
    ids, first = np.unique(c["sample_id"], return_index=True)
    from bench.entries.rules import rules
    from bench.submissions.check.truth import embedded, true_image_rfc

    known = rules("caro2024", "fashionmnist")
    path = embedded(known)
    assert path is not None
    found = true_image_rfc(path, known.ids)
    assert found is not None
    assert len(ids) == len(first) == 1000
    c["image_rfc"] = np.where(f.there, found[0][c["sample_id"]], np.nan)
    f.side = []


def other_class(f: Forged) -> None:
    c = f.columns
    here = c["success"] == 1
    new = (c["adv_pred"] + 1) % 10
    new = np.where(new == c["label"], (new + 1) % 10, new)
    c["adv_pred"] = np.where(here, new, c["adv_pred"])


def blind(f: Forged) -> None:
    f.columns["grad_rfc"] = np.full(len(f.columns["rfc"]), np.nan)
    f.columns["zero_grad"] = np.where(f.columns["zero_grad"] >= 0, 1, -1).astype(np.int8)


def unfooled(f: Forged) -> None:
    """Robust: half of the samples were not fooled by PGD."""
    c = f.columns
    some = np.char.startswith(c["attack"].astype(str), "pgd") & (c["success"] == 1)
    some &= c["sample_id"] % 2 == 1
    c["success"][some], c["adv_pred"][some] = 0, c["label"][some]
    c["status"][some] = "not_fooled"
    f.side = []


def metadata(**changes: Any) -> Callable[[Forged], None]:
    return lambda f: f.meta.update(changes)


# ---------------------------------------------------------------- pictures


def maps(f: Forged) -> list[dict[str, Any]]:
    return [row for row in f.side if row["kind"] == "spectrum"]


def examples(f: Forged) -> list[dict[str, Any]]:
    return [row for row in f.side if row["kind"] == "example"]


def painted(f: Forged) -> None:
    """Something painted into the rings: symmetric, with every ring's sum and both shares kept."""
    grid = frequency_grid(SIZE, SIZE)
    draw = np.exp(f.rng.normal(0, 1.5, (SIZE, SIZE)))
    mirror = np.roll(draw[::-1, ::-1], 1, axis=(0, 1))
    sign = np.sqrt(draw * mirror).ravel()
    place = grid.radius_index * 2 + grid.near_axis
    for row in maps(f):
        p = np.fft.ifftshift(np.reshape(row["values"], (SIZE, SIZE))).ravel()
        q = p * sign
        wanted, found = (np.bincount(place, weights=v, minlength=place.max() + 1) for v in (p, q))
        q *= (wanted / np.where(found > 0, found, 1))[place]
        row["values"] = np.fft.fftshift(q.reshape(SIZE, SIZE)).ravel().astype(np.float32)


def isotropic(f: Forged) -> None:
    """The map's rings, each of them flat."""
    index = frequency_grid(SIZE, SIZE).radius_index
    for row in maps(f):
        p = np.fft.ifftshift(np.reshape(row["values"], (SIZE, SIZE))).ravel()
        q = (np.bincount(index, weights=p) / np.bincount(index))[index]
        row["values"] = np.fft.fftshift(q.reshape(SIZE, SIZE)).ravel()


def lopsided(f: Forged) -> None:
    for row in maps(f):
        p = np.reshape(row["values"], (SIZE, SIZE)).copy()
        p[3:9, 3:9], p[20:26, 3:9] = p[20:26, 3:9].copy(), p[3:9, 3:9].copy()
        row["values"] = p.ravel()


def other_rings(f: Forged) -> None:
    """From one ring to a lower and a higher one, with the same centroid and the same shares."""
    grid = frequency_grid(SIZE, SIZE)
    near = grid.near_axis & ~grid.high
    low, middle, high = (near & (np.abs(grid.radius - r) < 1e-9) for r in (1 / 14, 3 / 14, 5 / 14))
    for row in maps(f):
        p = np.fft.ifftshift(np.reshape(row["values"], (SIZE, SIZE))).ravel().astype(float)
        taken = 0.5 * p[middle].sum()
        p[middle] *= 0.5
        for place in (low, high):
            p[place] += taken / 2 / place.sum()
        row["values"] = np.fft.fftshift(p.reshape(SIZE, SIZE)).ravel()


def at_zero(f: Forged) -> None:
    for row in maps(f):
        p = np.reshape(row["values"], (SIZE, SIZE)).copy()
        p[SIZE // 2, SIZE // 2] = 1e-4
        row["values"] = p.ravel()


def map_of_another(f: Forged) -> None:
    other = pq.read_table(SOURCE / "fashionmnist-full-conv.extras.parquet").to_pylist()
    for row, new in zip(maps(f), (r for r in other if r["kind"] == "spectrum"), strict=True):
        row["values"] = new["values"]


def other_image(f: Forged) -> None:
    """A grey picture that the perturbation fits into."""
    for row in examples(f):
        d = np.asarray(row["delta"])
        row["values"] = np.clip(np.full(d.shape, 0.5), np.maximum(-d, 0), 1 - np.maximum(d, 0))


def delta(change: Callable[[Any, np.random.Generator], Any]) -> Callable[[Forged], None]:
    def forge(f: Forged) -> None:
        for row in examples(f):
            image = np.reshape(row["values"], (SIZE, SIZE))
            new = change(np.reshape(row["delta"], (SIZE, SIZE)).astype(float), f.rng)
            row["delta"] = np.clip(image + new, 0, 1).ravel() - np.reshape(row["values"], -1)

    return forge


def scrambled(d: Any, rng: np.random.Generator) -> Any:
    """Other phases, the same spectrum."""
    phase = np.fft.fft2(rng.normal(size=d.shape))
    return np.fft.ifft2(np.abs(np.fft.fft2(d)) * phase / np.abs(phase)).real


def negated(f: Forged) -> None:
    """The opposite perturbation: the same spectrum and norms, on a picture that both fit."""
    for row in examples(f):
        d = np.asarray(row["delta"])
        row["delta"] = -d
        row["values"] = np.clip(row["values"], np.maximum(d, 0), 1 + np.minimum(d, 0))


def moved(f: Forged) -> None:
    """Each example's picture under the name of the next sample."""
    for attack in {row["attack"] for row in examples(f)}:
        rows = [row for row in examples(f) if row["attack"] == attack]
        ids = [row["sample_id"] for row in rows]
        for row, other in zip(rows, ids[1:] + ids[:1], strict=True):
            row["sample_id"] = other


KINDS: list[tuple[str, Callable[[Forged], None], str, str]] = [
    # rows
    ("profiles reshaped", reshaped, "verify", "hfe"),
    ("hfe alone", column("hfe", lambda v: v * 0.5), "check", "hfe as radial_energy"),
    ("centroid lower", column("rfc", lambda v: v * 0.9), "check", "rfc within half a bin"),
    ("centroid a little lower", a_little, "verify", "rfc"),
    ("norms smaller", smaller, "verify", "l2"),
    ("another model's numbers", of_another, "verify", "rfc"),
    ("wrong samples made right", easier, "verify", "clean_pred"),
    ("other adversarial classes", other_class, "verify", "adv_pred"),
    ("no gradient", blind, "verify", "zero_grad"),
    ("robust to PGD", unfooled, "verify", "success"),
    ("axis_share", column("axis_share", lambda v: v * 0.5), "check", "axis_share"),
    ("axis_share without maps", lambda f: (column("axis_share", lambda v: v * 0.5)(f),
     f.side.clear()), "verify", "axis_share"),
    ("entropy", column("entropy", lambda v: v * 0.8), "verify", "entropy"),
    ("entropy higher", column("entropy", lambda v: np.minimum(v * 1.2, 0.99)), "check", "entropy"),
    ("kappa_high", column("kappa_high", lambda v: v * 0.8), "verify", "kappa_high"),
    ("dc_share", column("dc_share", lambda v: v * 0.1), "check", "log_luma_profile"),
    ("clip_share", column("clip_share", lambda v: 0 * v), "verify", "clip_share"),
    ("l0", column("l0", lambda v: np.minimum(v, 784 * 0.75).round()), "check", "l0"),
    ("grad_rfc", column("grad_rfc", lambda v: v * 0.9), "verify", "grad_rfc"),
    ("image_rfc", column("image_rfc", lambda v: v * 1.1), "check", "image_rfc"),
    ("log_luma_profile", column("log_luma_profile", lambda v: v - 1), "verify", "log_luma_profile"),
    ("labels", column("label", lambda v: (v + 1) % 10), "check", "label"),
    # metadata
    ("fewer parameters", metadata(n_params=1000), "verify", "metadata n_params"),
    ("another input", metadata(input_shape=[1, 32, 32]), "check", "input_shape"),
    ("another family", metadata(family="vit"), "check", "metadata family"),
    ("another type", metadata(type="ViT"), "check", "metadata type"),
    ("another native size", metadata(native_size=7), "verify", "metadata native_size"),
    ("a control", metadata(control=True), "check", "metadata control"),
    ("another seed", metadata(seed=1), "check", "metadata seed"),
    ("another net", lambda f: f.meta["entry"].update(net={"family": "full-conv", "deep": False,
     "relu": False}), "check", "metadata entry.net"),
    # pictures
    ("maps painted", painted, "verify", "worse than its own rings"),
    ("maps without directions", isotropic, "check", "axis_share"),
    ("maps lopsided", lopsided, "check", "symmetric"),
    ("maps with other rings", other_rings, "check", "mean radial_energy in rings"),
    ("maps with a dot in the middle", at_zero, "check", "nothing at zero frequency"),
    ("maps of another model", map_of_another, "check", "mean"),
    ("fewer samples in the map", lambda f: [r.update(n=10) for r in maps(f)], "check", "kept"),
    ("pictures grey", other_image, "verify", "its image differs"),
    ("perturbations scrambled", delta(scrambled), "check", "in the example"),
    ("perturbations halved", delta(lambda d, _: d / 2), "check", "in the example"),
    ("perturbations negated", negated, "verify", "its image differs"),
    ("examples under other names", moved, "check", "in the example"),
    ("examples of no sample", lambda f: [r.update(sample_id=5000 + i) for i, r in
     enumerate(examples(f))], "check", "kept sample"),
    # harmless: nothing of it is a number or a picture of the board
    ("another device", metadata(device="cpu: quantum"), "harmless", ""),
    ("other versions", metadata(versions={"torch": "99"}), "harmless", ""),
    ("no time at all", column("seconds", lambda v: 0 * v), "harmless", ""),
    ("no side file's rows", lambda f: f.side.clear(), "harmless", ""),
]  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize(
    ("forge", "by", "words"), [k[1:] for k in KINDS], ids=[k[0] for k in KINDS]
)
def test_a_forgery(
    judged: Callable[[Forged], tuple[str, str]],
    forge: Callable[[Forged], None],
    by: str,
    words: str,
) -> None:
    forged = taken_apart()
    forge(forged)
    check, again = judged(forged)
    found = "check" if check else "verify" if again else "harmless"
    assert (found, words in (check or again)) == (by, True), (check or again)[:2000]


@pytest.mark.slow
def test_the_original_passes_both(judged: Callable[[Forged], tuple[str, str]]) -> None:
    assert judged(taken_apart()) == ("", "")


def test_the_reshaped_one_looks_much_better() -> None:
    """What the first forgery is about: it passes every check of its own, and halves mean HFE."""
    before, after = taken_apart(), taken_apart()
    reshaped(after)
    kept = before.there & (before.columns["attack"] == "bb-l2")
    mean = [float(f.columns["hfe"][kept].mean()) for f in (before, after)]
    assert mean[1] < 0.5 * mean[0]
    np.testing.assert_array_equal(before.columns["rfc"], after.columns["rfc"])
