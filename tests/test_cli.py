"""The command line: what it says of wrong input, and what it prints."""

from __future__ import annotations

import gzip
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from conftest import MODEL, REPOSITORY

from bench.cli.main import call

pytestmark = pytest.mark.usefixtures("caro_ranks")

CHECKPOINT = REPOSITORY / "registry" / "checkpoints" / f"{MODEL}.safetensors"


def complaint(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    """Return the one line on stderr of a call that ends with exit code 2."""
    capsys.readouterr()
    assert call([str(a) for a in arguments]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    lines = [line for line in err.splitlines() if not re.match(r"\[\d+/\d+\]|[\w-]+: \d+/", line)]
    assert len(lines) == 1, err
    assert lines[0].startswith("bench: error: ")
    assert "Traceback" not in err
    return lines[0]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["-m", "fashionmnist-local-cnv-relu"], "did you mean 'fashionmnist-local-conv-relu'"),
        (["-m", "resnet50d.nosuchtag"], "unknown tag 'nosuchtag' of timm model 'resnet50d'"),
        (["-m", "resnet50dd.ra2_in1k"], "did you mean resnet50d"),
        (["-m", "mnist-*", "-d", "mnsit"], "unknown dataset 'mnsit': did you mean 'mnist'"),
        (["-m", MODEL, "-d", "mnist"], "expected --dataset fashionmnist"),
        (["-m", "resnet18", "-d", "cifar10"], "expected --dataset imagenet"),
        (["-m", MODEL, "--workers", "0"], "expected --workers of at least 1, got 0"),
        (["-m", MODEL, "-a", "pgd-l3"], "unknown attack 'pgd-l3': did you mean 'pgd-l2'"),
        (["-m", MODEL, "-a", "clean", "-a", "pgd-l2"], "expected --attack clean alone"),
        (["-m", MODEL, "--protocol", "caro2042"], "did you mean 'caro2024'"),
        (["-m", MODEL, "--limit", "0"], "expected --limit of at least 1, got 0"),
        (["-m", MODEL, "--limit", "-3"], "expected --limit of at least 1, got -3"),
        (["-m", MODEL, "--limit", "x"], "expected a whole number"),
        (["-m", MODEL, "--batch-size", "0"], "expected --batch-size auto or a number"),
        (["-m", MODEL, "--seed", "-1"], "expected --seed of at least 0"),
        (["-m", MODEL, "--device", "tpu"], "expected --device auto, cpu, cuda"),
        (["-m", MODEL, "--device", "cuda:99"], "expected a GPU for --device cuda:99"),
        (["-m", MODEL, "--data", "hubb"], "did you mean 'hub'"),
        (["-m", MODEL, "-o", "nope://bucket/x"], "expected a folder or an address such as s3://"),
        (["-m", MODEL, "-o", "s3://b/x", "--offline"], "expected a local folder with --offline"),
        (["-m", "mnist-local-conv"], "run `bench train --model mnist-local-conv`"),
        (["-m", MODEL, "--weights", "/nowhere.safetensors"], "found none at"),
        (["-m", "nothing-*"], "matches no model"),
        (["--limit", "3"], "Missing option '--model'"),
        (["-m", MODEL, "--nosuch"], "No such option"),
    ],
)
def test_wrong_arguments_are_one_line(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    here = [] if "-o" in arguments else ["-o", tmp_path]
    assert message in complaint(capsys, "eval", *arguments, *here)


def test_pytest_would_see_a_wrong_exit_code(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(AssertionError):
        complaint(capsys, "list", "models")


def truncated(path: Path, tmp_path: Path) -> Path:
    short = tmp_path / path.name
    short.write_bytes(path.read_bytes()[:1000])
    return short


def test_weights_that_are_truncated_or_of_another_model(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    short = truncated(CHECKPOINT, tmp_path)
    run = ["eval", "-o", tmp_path / "out", "--limit", "2", "-a", "pgd-l1"]
    said = complaint(capsys, *run, "-m", MODEL, "--weights", short)
    assert "truncated" in said
    assert str(short) in said
    said = complaint(
        capsys, *run, "-m", "fashionmnist-fully-connected-relu", "--weights", CHECKPOINT
    )
    assert "expected" in said
    assert "hidden.0.weight" in said  # the first entry that differs
    assert not list((tmp_path / "out").rglob("*.parquet"))


def test_wrong_sha256_of_the_entry(
    capsys: pytest.CaptureFixture[str],
    quick_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    folder = tmp_path / "registry"
    shutil.copytree(quick_folder, folder, symlinks=True)
    for name in ("checkpoints", "models"):
        (folder / name).unlink()
        shutil.copytree(REPOSITORY / "registry" / name, folder / name)
    path = folder / "checkpoints" / f"{MODEL}.safetensors"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    monkeypatch.setenv("BENCH_REGISTRY", str(folder))
    assert "expected SHA-256" in complaint(capsys, "eval", "-m", MODEL, "-o", tmp_path / "out")
    path.unlink()
    assert "No such file" in complaint(capsys, "eval", "-m", MODEL, "-o", tmp_path / "out")


def idx(folder: Path, images: np.ndarray, labels: np.ndarray) -> None:
    """Write a test split as gzipped IDX files."""
    folder.mkdir(parents=True, exist_ok=True)
    head = b"\x00\x00\x08\x03" + np.array(images.shape, dtype=">i4").tobytes()
    (folder / "t10k-images-idx3-ubyte.gz").write_bytes(gzip.compress(head + images.tobytes()))
    head = b"\x00\x00\x08\x01" + np.array(labels.shape, dtype=">i4").tobytes()
    (folder / "t10k-labels-idx1-ubyte.gz").write_bytes(gzip.compress(head + labels.tobytes()))


def test_data_folders_that_cannot_be_right(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    images = np.zeros((1000, 28, 28), np.uint8)
    labels = np.zeros(1000, np.uint8)

    def said(folder: Path) -> str:
        return complaint(capsys, "eval", "-m", MODEL, "--data-dir", folder, "-o", tmp_path / "out")

    assert "found nothing" in said(tmp_path / "missing")
    (tmp_path / "empty").mkdir()
    assert "t10k-images-idx3-ubyte" in said(tmp_path / "empty")
    idx(tmp_path / "others", images, labels)
    assert "fingerprint" in said(tmp_path / "others")
    idx(tmp_path / "large", np.zeros((1000, 32, 32), np.uint8), labels)
    assert "28" in said(tmp_path / "large")
    idx(tmp_path / "labels", images, labels + 10)
    assert "expected labels from 0 to 9" in said(tmp_path / "labels")
    idx(tmp_path / "short", images[:10], labels[:10])
    assert "1000" in said(tmp_path / "short")
    idx(tmp_path / "cut", images, labels)
    cut = tmp_path / "cut" / "t10k-images-idx3-ubyte.gz"
    cut.write_bytes(gzip.compress(gzip.decompress(cut.read_bytes())[:5000]))
    assert str(cut) in said(tmp_path / "cut")


@pytest.mark.skipif(os.geteuid() == 0 and not shutil.which("chattr"), reason="root writes anywhere")
def test_an_output_that_cannot_be_written(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    file = tmp_path / "file"
    file.write_text("in the way")
    said = complaint(capsys, "eval", "-m", MODEL, "-o", file / "below")
    assert "expected to write" in said
    assert file.read_text() == "in the way"


def test_no_network_is_said_at_once(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    said = complaint(
        capsys, "eval", "-m", "resnet50d", "--data", "samples", "--offline", "-o", tmp_path
    )
    assert "resnet50d.ra2_in1k" in said
    assert "--weights PATH" in said


def test_factories_need_trust(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    entry = tmp_path / "theirs.toml"
    entry.write_text(
        'name = "theirs"\nsource = "factory"\nfactory = "toy_factory:make"\n'
        'dataset = "fashionmnist"\nfamily = "linear"\ntype = "Other"\n'
    )
    run = ["eval", "-m", entry, "--limit", "4", "-a", "pgd-l1", "-o", tmp_path / "out"]
    assert "--trust" in complaint(capsys, *run)
    assert "toy_factory" in complaint(capsys, *run, "--trust")


def test_a_factory_model_runs(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "toy_factory.py").write_text(
        "import torch\n"
        "def make():\n"
        "    return torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(784, 10))\n"
        "def narrow():\n"
        "    return torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(784, 7))\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    entry = tmp_path / "theirs.toml"
    text = (
        'name = "theirs"\nsource = "factory"\nfactory = "toy_factory:make"\n'
        'dataset = "fashionmnist"\nfamily = "linear"\ntype = "Other"\n'
    )
    entry.write_text(text)
    run = ["eval", "-m", entry, "--limit", "4", "-a", "pgd-l1", "--trust", "-o", tmp_path / "out"]
    assert call([str(a) for a in run]) == 0
    out, _ = capsys.readouterr()
    assert "PARTIAL, never ranked: first 4 of 1000 samples" in out
    entry.write_text(text.replace(":make", ":narrow"))
    assert "expected logits (1, 10)" in complaint(capsys, *run)


def test_a_run_prints_a_table_and_says_that_it_is_partial(
    capsys: pytest.CaptureFixture[str], quick: Path, tmp_path: Path
) -> None:
    run = [
        "eval",
        "-m",
        MODEL,
        "--protocol",
        "quick",
        "--limit",
        "32",
        "-a",
        "pgd-l2",
        "-o",
        tmp_path,
    ]
    assert call([str(a) for a in run]) == 0
    out, err = capsys.readouterr()
    row = next(line for line in out.splitlines() if "pgd-l2" in line)
    assert re.search(
        r"\d+/32 +\d+\.\d % +\d+\.\d % +\d\.\d+ l2 +0\.\d{3} \[0\.\d{3}, 0\.\d{3}\]", row
    )
    assert "PARTIAL, never ranked: first 32 of 48 samples." in out
    assert "pgd-l2: 32/32 samples" in err


def test_clean_accuracy_is_that_of_the_entry(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    data = Path("/usr/share/datasets/fashion-mnist")
    if not data.is_dir():
        pytest.skip("needs the whole FashionMNIST (Debian: dataset-fashion-mnist)")
    run = ["eval", "-m", MODEL, "-a", "clean", "--data-dir", data, "-o", tmp_path]
    assert call([str(a) for a in run]) == 0
    out, _ = capsys.readouterr()
    from bench.entries import registry

    weights = registry.model(MODEL).weights
    assert weights is not None
    assert weights.test_accuracy is not None
    assert f"top-1: {weights.test_accuracy:.2f} %" in out
    assert call([str(a) for a in run]) == 0
    again, err = capsys.readouterr()
    assert again == out
    assert "0/10000" not in err


@pytest.mark.parametrize("kind", ["models", "datasets", "protocols", "attacks", "metrics"])
def test_list_as_table_and_json(kind: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(["list", kind]) == 0
    table, _ = capsys.readouterr()
    assert call(["list", kind, "--json"]) == 0
    rows = json.loads(capsys.readouterr()[0])
    assert table.splitlines()[-1] == f"{len(rows)} {kind}"
    assert {"models": 92, "datasets": 7, "attacks": 25}.get(kind, len(rows)) == len(rows)


def test_list_of_something_else(capsys: pytest.CaptureFixture[str]) -> None:
    assert "unknown kind 'model': did you mean 'models'" in complaint(capsys, "list", "model")


def test_ctrl_c_ends_with_130(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "bench", "eval", "-m", MODEL, "-a", "pgd-l2"]
    command += ["--batch-size", "8", "-o", str(tmp_path)]
    # whoever runs the tests may ignore Ctrl-C, and children inherit that
    restore = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
    with subprocess.Popen(
        command, stderr=subprocess.PIPE, text=True, preexec_fn=restore
    ) as process:
        assert process.stderr is not None
        while "pgd-l2: 0/" not in process.stderr.readline():
            assert process.poll() is None, "the run ended before it could be interrupted"
        process.send_signal(signal.SIGINT)
        rest = process.stderr.read()
    assert process.returncode == 130
    assert "interrupted. What was finished is kept" in rest
    assert "Traceback" not in rest


def test_a_dry_run_says_what_it_costs_and_writes_nothing(
    capsys: pytest.CaptureFixture[str], quick: Path, tmp_path: Path
) -> None:
    run = ["eval", "-m", MODEL, "--protocol", "quick", "--dry-run", "-o", str(tmp_path)]
    assert call(run) == 0
    out, _ = capsys.readouterr()
    rows = [line for line in out.splitlines() if re.match(r" *(pgd|bb)-", line)]
    assert len(rows) == 5
    attacked = int(rows[0].split()[1])
    assert 40 <= attacked <= 48
    assert all(f" {attacked * 15:,} " in row for row in rows)  # passes: 15 steps for each sample
    assert "hours here in all" in out
    assert "Downloads of weights: none." in out
    assert not list(tmp_path.rglob("*.parquet"))
    assert "got clean" in complaint(capsys, *run, "-a", "clean")
