"""Challenges: exact minima against one-start walks; forged ones; what the board makes of them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from conftest import REPOSITORY

import bench
from bench.attacks.affine import exact
from bench.board.build import build
from bench.board.flags import flags
from bench.cli.main import call
from bench.data.formats import embedded
from bench.entries import registry
from bench.errors import BenchError
from bench.results.challenges import KEPT, Kept, best_known, challenge_of, write_kept
from bench.submissions.challenge.sent import read_sent

MODEL = "fashionmnist-full-conv"
PLACE = ("caro2024", "fashionmnist")
COUNT = 40
"""Clean-correct samples that are challenged."""


@pytest.fixture(scope="module")
def given() -> dict[str, Any]:
    """The exact minimum of a linear net's first samples, as one who sends them has it."""
    path = embedded.find(registry.registry_dir(), registry.dataset("fashionmnist"))
    assert path is not None
    images = embedded.read_file(path)
    x = torch.from_numpy(images.fractions()).float()[: 2 * COUNT]
    y = torch.from_numpy(images.labels[: 2 * COUNT].astype(np.int64))
    net = bench.load_model(MODEL)
    right = (net(x).argmax(1) == y).nonzero()[:COUNT, 0]
    assert len(right) == COUNT
    delta = (exact(net, x[right], y[right], "l2").float() - x[right]).numpy()
    wrong = (net(x).argmax(1) != y).nonzero()[0, 0].item()
    return {
        "ids": right.numpy(), "delta": delta, "x": x, "y": y.numpy(), "net": net, "wrong": wrong,
        "sha256": meta(REPOSITORY / "submissions")["weights_sha256"],
    }  # fmt: skip


def meta(submissions: Path) -> dict[str, Any]:
    file = submissions.joinpath(*PLACE, f"{MODEL}.parquet")
    return json.loads(pq.read_schema(file).metadata[b"bench"])


@pytest.fixture
def submissions(tmp_path: Path) -> Path:
    folder = tmp_path / "submissions"
    folder.joinpath(*PLACE).mkdir(parents=True)
    for kind in (".parquet", ".extras.parquet"):
        source = (REPOSITORY / "submissions").joinpath(*PLACE, MODEL + kind)
        shutil.copy(source, folder.joinpath(*PLACE, MODEL + kind))
    return folder


def send(given: dict[str, Any], path: Path, **changes: Any) -> Path:
    """Write a file of perturbations."""
    content = {
        "protocol": PLACE[0],
        "dataset": PLACE[1],
        "model": MODEL,
        "attack": "bb-l2",
        "weights_sha256": given["sha256"],
        "who": "A. Challenger",
        "sample_id": given["ids"],
        "delta": given["delta"],
        **changes,
    }
    np.savez(path, **{key: value for key, value in content.items() if value is not None})
    return path


def test_the_exact_minimum_beats_one_random_start(
    given: dict[str, Any], submissions: Path, tmp_path: Path
) -> None:
    """Accepted are those that a plain loop finds smaller and clearly misclassified."""
    found = bench.challenge(send(given, tmp_path / "x.npz"), submissions=submissions)
    rows = pd.read_parquet(submissions.joinpath(*PLACE, f"{MODEL}.parquet"))
    rows = rows[rows["attack"] == "bb-l2"].set_index("sample_id")
    wanted = []
    for sample, delta in zip(given["ids"], given["delta"], strict=True):
        image = np.clip(given["x"][sample].numpy() + delta, 0, 1)
        logits = given["net"](torch.from_numpy(image)[None])[0].detach().double().numpy()
        others = np.delete(logits, given["y"][sample])
        margin = (others.max() - logits[given["y"][sample]]) / np.ptp(logits)
        norm = np.linalg.norm((image - given["x"][sample].numpy()).astype(np.float64))
        # what is nearly there is grown by at most a thousandth
        wanted.append(norm < 0.998 * rows.loc[sample, "l2"] and margin > -1e-4)
    assert list(found["accepted"]) == wanted
    assert 10 < found["accepted"].sum() < 30
    kept = found[found["accepted"]]
    assert list(kept["best_known"]) == list(rows.loc[kept["sample_id"], "l2"])
    assert (kept["norm"] < kept["best_known"]).all()
    file = challenge_of(submissions.joinpath(*PLACE, f"{MODEL}.parquet"))
    stored = pd.read_parquet(file)
    assert list(stored["sample_id"]) == sorted(kept["sample_id"])
    assert set(stored["who"]) == {"A. Challenger"}
    assert bench.check([submissions]) == []
    # the pull request's check says yes, and a second time nothing is smaller any more
    again = bench.challenge(file, submissions=submissions, check=True)
    assert again["accepted"].all()
    before = file.read_bytes()
    assert not bench.challenge(tmp_path / "x.npz", submissions=submissions)["accepted"].any()
    assert file.read_bytes() == before


FORGED: dict[str, tuple[Callable[[dict[str, Any]], dict[str, Any]], str]] = {
    "not smaller": (
        lambda g: {"delta": g["delta"] * np.float32(3)},
        "expected (?:a norm of at most|an image within)",
    ),
    "not misclassified": (lambda g: {"delta": g["delta"] * np.float32(0.9)}, "another class"),
    "zero": (lambda g: {"delta": g["delta"] * np.float32(0)}, "another class"),
    "outside of the box": (lambda g: {"delta": g["delta"] - 2.0 * g["x0"]}, "image within"),
    "nan": (lambda g: {"delta": g["delta"] * np.float32("nan")}, "finite values"),
    "infinite": (lambda g: {"delta": g["delta"] + np.float32("inf")}, "finite values"),
    "float64": (lambda g: {"delta": g["delta"].astype(np.float64)}, "float32 values"),
    "float16": (lambda g: {"delta": g["delta"].astype(np.float16)}, "float32 values"),
    "another shape": (lambda g: {"delta": g["delta"][:, :, :27]}, "expected a perturbation"),
    "three channels": (lambda g: {"delta": g["delta"].repeat(3, 1)}, "expected a perturbation"),
    "others' samples": (lambda g: {"sample_id": np.roll(g["ids"], 1)}, "expected"),
    "no samples of the protocol": (lambda g: {"sample_id": g["ids"] + 1000}, "of the protocol"),
    "negative samples": (lambda g: {"sample_id": -1 - g["ids"]}, "of the protocol"),
    "a wrong label": (lambda g: {"label": (g["y"][g["ids"]] + 1) % 10}, "expected the true class"),
    "another attack": (lambda g: {"attack": "pgd-l2"}, "smallest perturbation"),
    "an unknown attack": (lambda g: {"attack": "\x1b[31m" * 99}, "smallest perturbation"),
}


@pytest.mark.parametrize("kind", FORGED)
def test_forged_ones_are_refused_and_nothing_is_written(
    kind: str, given: dict[str, Any], submissions: Path, tmp_path: Path
) -> None:
    change, words = FORGED[kind]
    g = {**given, "x0": given["x"][given["ids"]].numpy()}
    found = bench.challenge(send(given, tmp_path / "x.npz", **change(g)), submissions=submissions)
    assert len(found) == COUNT
    assert not found["accepted"].any()
    assert found["reason"].str.contains(words).all(), set(found["reason"])
    assert not list(submissions.rglob("*.challenge.parquet"))


def test_a_clean_wrong_sample_and_two_for_one_row(
    given: dict[str, Any], submissions: Path, tmp_path: Path
) -> None:
    good = bench.challenge(send(given, tmp_path / "x.npz"), submissions=submissions, check=True)
    place = int(np.flatnonzero(good["accepted"])[0])
    image = given["x"][given["ids"][place]].numpy()
    longer = np.clip(image + given["delta"][place] * np.float32(1.0005), 0, 1) - image
    ids = np.array([given["wrong"], given["ids"][place], given["ids"][place]])
    deltas = np.stack([given["delta"][place], given["delta"][place], longer])
    found = bench.challenge(
        send(given, tmp_path / "y.npz", sample_id=ids, delta=deltas), submissions=submissions
    )
    assert list(found["accepted"]) == [False, True, False]
    assert "classified correctly" in found["reason"][0]
    assert "found a shorter one" in found["reason"][2]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"weights_sha256": "0" * 64}, "of the weights of"),
        ({"weights_sha256": None}, "found no weights_sha256"),
        ({"model": None}, "found no model"),
        ({"model": "fashionmnist-full-con"}, "expected the challenged row's submission"),
        ({"model": "../../x"}, "expected a name for model"),
        ({"dataset": "mnist"}, "expected the challenged row's submission"),
        ({"protocol": "minimal2026"}, "expected the challenged row's submission"),
        ({"attack": None}, "found no attack"),
        ({"delta": None}, "found no delta"),
        ({"delta": np.zeros((3, 784), np.float32)}, "delta \\(n, C, H, W\\)"),
        ({"sample_id": np.arange(3)}, "expected sample_id \\(n,\\)"),
        ({"sample_id": np.arange(COUNT) + 0.5}, "of whole numbers"),
        ({"label": np.arange(3)}, "expected label \\(n,\\)"),
        ({"attack": np.array(["bb-l2", "bb-linf"])}, "expected one attack or"),
        ({"sample_id": np.array([object()] * COUNT)}, "expected a file of np.savez"),
        ({"sample_id": np.zeros(0, int), "delta": np.zeros((0, 1, 28, 28), "f")}, "expected 1 to"),
        ({"who": "x" * 61}, "expected a printable name"),
        ({"who": "a\nb"}, "expected a printable name"),
    ],
)
def test_files_that_are_no_challenge(
    changes: dict[str, Any], words: str, given: dict[str, Any], submissions: Path, tmp_path: Path
) -> None:
    with pytest.raises(BenchError, match=words):
        bench.challenge(send(given, tmp_path / "x.npz", **changes), submissions=submissions)
    assert not list(submissions.rglob("*.challenge.parquet"))


def test_files_that_are_none(submissions: Path, tmp_path: Path) -> None:
    for name, content in (("a.npz", b"no"), ("a.parquet", b"no"), ("b.parquet", b"PAR1" * 9)):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(BenchError, match="expected"):
            bench.challenge(tmp_path / name, submissions=submissions)
    table = pa.table({"attack": ["bb-l2"], "x": [1]})
    pq.write_table(table, tmp_path / "c.parquet")
    with pytest.raises(BenchError, match="expected no such column"):
        bench.challenge(tmp_path / "c.parquet", submissions=submissions)
    with pytest.raises(BenchError, match="found no file"):
        bench.challenge(tmp_path / "d.npz", submissions=submissions)


def keep(submissions: Path, sha256: str, **changes: Any) -> Path:
    """Write a file of kept challenges by hand; it fools nobody, which only the model can tell."""
    delta = np.zeros((1, 28, 28), np.float32)
    delta[0, 3, 4] = 0.01
    row = {"attack": "bb-l2", "sample_id": 0, "delta": delta, "norm": 0.01, "who": "B",
           "added": "2026-01-01T00:00:00+00:00", **changes}  # fmt: skip
    file = challenge_of(submissions.joinpath(*PLACE, f"{MODEL}.parquet"))
    row["norm"] = float(np.float32(row["norm"])) if "norm" not in changes else row["norm"]
    write_kept(file, [Kept(**row)], {"protocol": PLACE[0], "dataset": PLACE[1], "model": MODEL,
                                     "weights_sha256": sha256})  # fmt: skip
    return file


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({}, None),
        ({"norm": 0.009}, "expected the norm that it has"),
        ({"norm": float("nan")}, "expected the norm that it has"),
        ({"who": "a\x1b[31m"}, "expected a printable text"),
        ({"who": ""}, "expected a printable text"),
        ({"added": "x" * 41}, "expected a printable text"),
        ({"attack": "pgd-l2"}, "clean-correct sample of a minimal attack"),
        ({"sample_id": 1000}, "clean-correct sample of a minimal attack"),
        ({"delta": np.full((1, 28, 28), 0.5, "f"), "norm": 14.0}, "0.1% below"),
        ({"delta": np.full((1, 8, 98), 0.0001, "f"), "norm": 0.0028}, "another shape"),
        ({"delta": np.full((1, 28, 28), np.inf, "f"), "norm": 1.0}, "finite values"),
    ],
)
def test_check_refuses_what_needs_no_model(
    changes: dict[str, Any], words: str | None, given: dict[str, Any], submissions: Path
) -> None:
    file = keep(submissions, given["sha256"], **changes)
    problems = [str(problem) for problem in bench.check([submissions])]
    assert all(str(file) in problem for problem in problems)
    if words is None:
        assert problems == []
        # it does not fool the model: that is for the pull request's forward passes
        found = bench.challenge(file, submissions=submissions, check=True)
        assert list(found["accepted"]) == [False]
        assert call(["challenge", "--check", str(file), "--submissions", str(submissions)]) == 2
    else:
        assert len(problems) == 1
        assert words in problems[0]


def test_check_refuses_challenges_of_other_weights(submissions: Path) -> None:
    keep(submissions, "0" * 64)
    assert "remove it: the row has changed" in str(bench.check([submissions])[0])
    file = submissions.joinpath(*PLACE, f"{MODEL}.parquet")
    assert best_known(file, meta(submissions)["weights_sha256"], range(1000)) == {}


def test_a_challenge_lowers_the_best_known_distance_and_nothing_else(tmp_path: Path) -> None:
    """On a sample that witnesses ran on it counts; elsewhere it is named, and biases nothing."""
    name = "fashionmnist-local-conv-relu"
    folder = tmp_path / "minimal2026" / "fashionmnist"
    folder.mkdir(parents=True)
    source = REPOSITORY / "submissions" / "minimal2026" / "fashionmnist"
    for kind in (".parquet", ".extras.parquet"):
        shutil.copy(source / (name + kind), folder / (name + kind))
    rows = pd.read_parquet(folder / f"{name}.parquet")
    own = rows[rows["attack"] == "min-l2"].set_index("sample_id")
    known = json.loads(pq.read_schema(folder / f"{name}.parquet").metadata[b"bench"])
    witnessed = rows[rows["attack"] == "ddn-l2"]["sample_id"]
    inside = int(witnessed.iloc[0])
    outside = next(int(i) for i in own.index if i not in set(witnessed) and own["success"][i])

    def row(sample: int, who: str) -> Kept:
        delta = np.zeros((1, 28, 28), np.float32)
        return Kept("min-l2", sample, delta, float(own["l2"][sample]) / 2, who, "2026-01-01")

    def shown() -> Any:
        return build(tmp_path).tables[0].rows[0]

    stated = {"protocol": "minimal2026", "dataset": "fashionmnist", "model": name,
              "weights_sha256": known["weights_sha256"]}  # fmt: skip
    file = challenge_of(folder / f"{name}.parquet")
    before = shown().model.attacks["min-l2"]
    file.write_bytes(b"PAR1 broken PAR1")  # costs the row nothing
    assert shown().model.attacks["min-l2"] == before
    write_kept(file, [row(outside, "B")], stated)
    model = shown()
    after = model.model.attacks["min-l2"]
    assert after.optimality == before.optimality
    write_kept(file, [row(outside, "B"), row(inside, "<C>")], stated)
    model = shown()
    after = model.model.attacks["min-l2"]
    assert after.optimality.n == before.optimality.n == 128
    assert after.optimality.excess.mean - before.optimality.excess.mean == pytest.approx(
        1 / 128, rel=0.05
    )
    for name_of in ("rfc", "hfe", "norm", "success", "hfx", "kept", "means"):
        assert getattr(after, name_of) == getattr(before, name_of)
    assert (after.challenged.n, after.challenged.largest) == (2, pytest.approx(0.5))
    assert "challenged L2: 2 by B, <C>, up to 50.0% shorter" in flags(
        model, model.model.submission.rules
    )


def test_the_command_says_what_is_accepted_and_what_not(
    given: dict[str, Any],
    submissions: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    file = send(given, tmp_path / "x.npz", who=None)
    where = ["--submissions", str(submissions)]
    assert call(["challenge", str(file), *where, "--who", "Me"]) == 2
    out, err = capsys.readouterr()
    assert "accepted: bb-l2, sample" in out
    assert "refused: bb-l2, sample" in out
    assert "Written:" in out
    assert "refused" in err
    stored = challenge_of(submissions.joinpath(*PLACE, f"{MODEL}.parquet"))
    assert pq.read_table(stored).schema.names == KEPT.names
    assert set(pd.read_parquet(stored)["who"]) == {"Me"}
    assert call(["challenge", "--check", str(stored), *where]) == 0
    assert "are what they say they are" in capsys.readouterr().out


def test_a_file_of_another_kind_is_told_what_is_wanted(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("smaller")
    with pytest.raises(BenchError, match=r"expected an \.npz of np\.savez, or a Parquet file"):
        read_sent(path)
