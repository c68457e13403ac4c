"""Sixty things that a user may get wrong, in Python and on the command line."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import nn

import bench

NET = "fashionmnist-local-conv-relu"
STUDY = "fashionmnist-2026"


def affine() -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(784, 10))


def evaluate(*given: Any, **more: Any) -> Callable[[Path], object]:
    """Return a call that would measure two samples of a net, but for what is changed."""

    def run(folder: Path) -> object:
        options = {"limit": 2, "attacks": "pgd-l1", "output": folder / "out", **more}
        return bench.evaluate(*(given or (NET,)), **options)

    return run


def module(**more: Any) -> Callable[[Path], object]:
    """Return such a call with a model in memory."""
    return evaluate(affine(), **{"dataset": "fashionmnist", "name": "mine", **more})


def rows(**changes: Any) -> pd.DataFrame:
    """Rows as `evaluate` returns them, made up."""
    table = {
        "protocol": "minimal2026", "protocol_hash": "0" * 64, "model": "m",
        "dataset": "fashionmnist", "attack": "min-l2", "sample_id": [0, 1], "status": "ok",
        "clean_correct": True, "success": True, "l1": 1.0, "l2": 1.0, "linf": 1.0, "rfc": 0.5,
        "hfe": 0.5, "image_rfc": 0.2, **changes,
    }  # fmt: skip
    return pd.DataFrame({key: value for key, value in table.items() if value is not None})


IN_PYTHON: dict[str, tuple[Callable[[Path], object], str]] = {
    # what is the model?
    "no model": (evaluate(None), "expected a model's name, a list of names, or an nn.Module"),
    "a number": (evaluate(3), "or an nn.Module, got '3' (int)"),
    "an empty list": (evaluate([]), "got an empty list"),
    "a list of numbers": (evaluate([1, 2]), "got '1' (int)"),
    "a class": (evaluate(nn.Linear, dataset="mnist"), "got the class Linear; make a model of it"),
    "a function": (evaluate(lambda x: x), "call it in the forward of an nn.Module"),
    "a state dict": (evaluate(affine().state_dict()), "load a state dict into its module"),
    "a module in a list": (evaluate([affine()]), "evaluate one module at a time"),
    "a tensor": (evaluate(torch.ones(2)), "expected a model's name"),
    "nothing as a name": (evaluate(""), "expected a model's name, got ''"),
    "a misspelt name": (evaluate("fashionmnist-local-cnv-relu"), "did you mean"),
    "a pattern of nothing": (evaluate("nothing-*"), "matches no model"),
    "a file that is not there": (evaluate(Path("x.toml")), "expected a readable TOML file"),
    "a module without a data set": (module(dataset=None), "expected dataset= with a model"),
    "a module and weights": (module(weights="random"), "expected no weights="),
    "a module and workers": (module(workers=2), "expected workers=1"),
    "a name that is no file name": (module(name="a b"), "the model in memory: name"),
    "a name that is no text": (module(name=1), "expected text for name, got 1"),
    "a name for a named model": (evaluate(name="x"), "expected name= only with a model in memory"),
    "another entry's name": (module(name=NET), "has other weights"),
    "a module of other images": (
        evaluate(nn.Linear(3, 10), dataset="fashionmnist"),
        "expected a model that takes 1 x 28 x 28 images",
    ),
    "a module of other classes": (
        evaluate(nn.Sequential(nn.Flatten(), nn.Linear(784, 3)), dataset="fashionmnist"),
        "expected logits",
    ),
    # the other options
    "an unknown data set": (evaluate(dataset="mnsit"), "did you mean 'mnist'"),
    "another data set": (evaluate(dataset="mnist"), "expected --dataset fashionmnist"),
    "an unknown attack": (evaluate(attacks="min-l3"), "did you mean 'min-l2'"),
    "another protocol's attack": (evaluate(attacks=["bb-l2"]), "add --protocol caro2024"),
    "attacks that are numbers": (evaluate(attacks=[2]), "expected text for attacks, got 2"),
    "an attack that is a number": (evaluate(attacks=2), "expected a name or a list of names"),
    "an unknown protocol": (evaluate(protocol="caro2042"), "did you mean 'caro2024'"),
    "a limit in words": (evaluate(limit="ten"), "expected a whole number for limit, got 'ten'"),
    "half a limit": (evaluate(limit=1.5), "expected a whole number for limit, got 1.5"),
    "no limit at all": (evaluate(limit=0), "expected --limit of at least 1, got 0"),
    "a true limit": (evaluate(limit=True), "expected a whole number for limit, got True"),
    "a negative batch": (evaluate(batch_size=-1), "expected --batch-size of at least 1"),
    "a batch in words": (evaluate(batch_size="big"), "expected a whole number for batch_size"),
    "an unknown device": (evaluate(device="gpu"), "expected --device auto, cpu, cuda or cuda:<i>"),
    "a device number": (evaluate(device=0), "expected text for device, got 0"),
    "a negative seed": (evaluate(seed=-1), "expected --seed of at least 0"),
    "weights that are not there": (evaluate(weights="x.pt"), "expected a weights file"),
    "no weights": (evaluate(weights=None), "expected text for weights, got None"),
    "a folder that is not there": (evaluate(data_dir="/nowhere"), "expected images in --data-dir"),
    "an unknown source": (evaluate(data="hubb"), "did you mean 'hub'"),
    "two sources": (evaluate(data="hub", data_dir="/"), "expected one of --data and --data-dir"),
    "no folder for results": (evaluate(output=3), "expected text for output, got 3"),
    "an address for results": (evaluate(output="http://x/y"), "which can only be read"),
    "an address of nothing": (evaluate(output="nosuch://x/y"), "or an address such as s3://"),
    "an address, offline": (
        evaluate(output="s3://x/y", offline=True),
        "expected a local folder with --offline",
    ),
    "trust in words": (evaluate(trust="yes"), "expected True or False for trust, got 'yes'"),
    "progress in words": (evaluate(progress="bar"), "expected True, False, None or an object"),
    # what is done with rows
    "a summary of nothing": (lambda _: bench.summary(None), "expected the rows of bench.evaluate"),
    "a summary of a list": (lambda _: bench.summary([1]), "expected the rows of bench.evaluate"),
    "a summary of other columns": (
        lambda _: bench.summary(pd.DataFrame({"a": [1]})),
        "found a table without model, dataset",
    ),
    "a summary of no rows": (lambda _: bench.summary(rows().iloc[:0]), "found none"),
    "a summary of one row twice": (
        lambda _: bench.summary(rows(sample_id=[1, 1])),
        "expected one row per attack and sample",
    ),
    "a summary of texts": (lambda _: bench.summary(rows(rfc="x")), "found others"),
    "a summary of an unknown attack": (
        lambda _: bench.summary(rows(attack="bb-l2")),
        "expected rows of attacks of protocol minimal2026",
    ),
    "a summary of an unknown name": (
        lambda f: bench.summary("nobody", folders=[f]),
        "expected a result of 'nobody'",
    ),
    "a picture of two models": (
        lambda _: bench.plot(rows(model=["a", "b"], protocol_hash="0" * 64)),
        "expected rows of one model, got 2 (a, b)",
    ),
    "a picture of another kind": (
        lambda f: bench.plot(rows(), output=f / "x.pdf", submissions=None),
        "expected a file .png, .svg, .html",
    ),
    "a picture of another attack": (
        lambda _: bench.plot(rows(), attack="min-linf"),
        "unknown attack of this result 'min-linf'",
    ),
    "a picture of a file that is none": (
        lambda _: bench.plot("x.parquet"),
        "expected a result at x.parquet, found no file",
    ),
    "a comparison with nothing": (
        lambda f: bench.compare("a", "b", folders=[f]),
        "expected a result of 'a'",
    ),
    "spectra of a list": (
        lambda _: bench.spectrum.spectral_metrics([[1.0]]),
        "expected a tensor or array (B, C, H, W)",
    ),
    "spectra of one image": (
        lambda _: bench.spectrum.spectral_metrics(np.ones((1, 8, 8))),
        "add a batch with [None]",
    ),
    "spectra of complex numbers": (
        lambda _: bench.spectrum.spectral_metrics(np.ones((1, 1, 8, 8), complex)),
        "of real numbers",
    ),
    "a challenge that is not there": (lambda _: bench.challenge("x.npz"), "found no file"),
    "a model that is not there": (lambda _: bench.load_model("nobody"), "unknown model 'nobody'"),
}
"""What is wrong -> the call (given an empty folder), and words of the one line that it raises."""

ON_THE_COMMAND_LINE: dict[str, tuple[list[str], str]] = {
    "a number in words": (["eval", "-m", NET, "--limit", "ten"], "expected a whole number. See"),
    "seconds in words": (
        ["study", "plan", "fashionmnist-2026", "--budget", "a"],
        "expected a number. See",
    ),
    "an unknown verb": (["evaluate"], "No such command"),
    "an unknown option": (["show", "x", "--nosuch"], "No such option"),
    "no model": (["eval"], "Missing option '--model'"),
    "an empty model": (["eval", "-m", ""], "expected a model's name, got ''"),
    "the second of two models": (["eval", "-m", NET, "-m", "fashionmnist-x"], "unknown model"),
    "a misspelt data set": (["eval", "-m", "mnist-*", "-d", "mnsit"], "did you mean 'mnist'"),
    "a misspelt attack": (["eval", "-m", NET, "-a", "min-l3"], "did you mean 'min-l2'"),
    "the former default's attack": (["eval", "-m", NET, "-a", "bb-l2"], "--protocol caro2024"),
    "a misspelt protocol": (["eval", "-m", NET, "--protocol", "x"], "unknown protocol 'x'"),
    "a device": (["eval", "-m", NET, "--device", "cuda:x"], "expected --device auto, cpu, cuda"),
    "an index of no device": (["eval", "-m", NET, "--device", "auto:1"], "expected --device auto"),
    "a limit": (["eval", "-m", NET, "--limit", "1.5"], "expected a whole number"),
    "a batch": (["eval", "-m", NET, "--batch-size", "x"], "expected --batch-size auto or a number"),
    "workers": (["eval", "-m", NET, "--workers", "0"], "expected --workers of at least 1"),
    "weights": (["eval", "-m", NET, "--weights", "nowhere"], "expected a weights file"),
    "a folder of images": (["eval", "-m", NET, "--data-dir", "nowhere"], "expected images in"),
    "a source of images": (["eval", "-m", NET, "--data", "web"], "unknown data source 'web'"),
    "two sources of images": (
        ["eval", "-m", NET, "--data", "hub", "--data-dir", "."],
        "expected one of --data and --data-dir",
    ),
    "showing nothing": (["show"], "Missing argument"),
    "showing nobody": (["show", "nobody", "--results", "."], "unknown result 'nobody'"),
    "showing no file": (["show", "x.parquet"], "found no file"),
    "showing as what?": (
        ["show", "x.parquet", "-o", "x.pdf"],
        "expected a file .png, .svg or .html",
    ),
    "showing a side file": (["show", "SIDE"], "got its side file"),
    "showing no result": (["show", "README"], "expected a result"),
    "comparing one": (["compare", "a"], "Missing argument"),
    "comparing nobody": (["compare", "nobody", "x", "--results", "."], "unknown result 'nobody'"),
    "comparing two protocols": (["compare", "CARO", "MINIMAL"], "they can't be compared"),
    "joining nothing": (["join", "nowhere.csv"], "nowhere.csv"),
    "joining to what?": (["join", "x.csv", "-o", "x.xlsx"], "expected a file .csv or .md"),
    "challenging with nothing": (["challenge", "x.npz"], "found no file"),
    "challenging on what?": (["challenge", "x.npz", "--device", "gpu"], "expected --device"),
    "listing what?": (["list", "model"], "did you mean 'models'"),
    "submitting nobody": (["submit", "-m", "nobody", "--results", "."], "expected results in"),
    "verifying nothing": (["verify", "x.parquet"], "found no file"),
    "checking nothing": (["check", "nowhere"], "expected submissions without problems"),
    "no submissions": (["leaderboard", "--submissions", "nowhere"], "expected a folder of"),
    "no probe": (["probe", "x"], "No such command"),
    "a size": (
        ["probe", "transfer", "-m", NET, "--input-size", "9"],
        "expected --input-size WIDTH",
    ),
    "no verb at all": ([], "expected a command"),
    "a study without a verb": (["study"], "expected a command"),
    "an address that is only read": (["eval", "-m", NET, "-o", "http://x/y"], "only be read"),
    "a seed that nobody trained": (["eval", "-m", f"{NET}@seed99"], "a training seed that the"),
    "a seed": (["eval", "-m", NET, "--seed", "-1"], "expected --seed of at least 0"),
    "an engine": (["eval", "-m", NET, "--engine", "sge"], "unknown engine 'sge'"),
    "a shard": (["eval", "-m", NET, "--shard", "3/2"], "expected --shard I/N"),
    "an address without its engine": (["eval", "-m", NET, "--address", "x"], "--engine ray"),
    "a device to come": (["eval", "-m", NET, "--dry-run", "--assume", "h100"], "NAME=RATE"),
    "the theory of nothing": (["theory", "-m", "mnist-nothing"], "unknown model"),
    "the theory of a seed": (["theory", "-m", NET, "--seed", "-1"], "expected --seed of at least"),
    "the theory of no weights": (["theory", "-m", NET, "--weights", "x"], "a weights file, found"),
    "scoring an unknown metric": (["rescore", "-m", NET, "--metric", "rffc"], "did you mean 'rfc'"),
    "scoring a protocol": (["rescore", "-m", NET, "--protocol", "x"], "unknown protocol 'x'"),
    "scoring a source": (["rescore", "-m", NET, "--data", "web"], "unknown data source 'web'"),
    "scoring nothing": (["rescore", "-m", NET, "--results", "."], "No such option"),
    "scoring no result": (["rescore", "-m", NET, "-o", "nowhere"], "expected a result at nowhere"),
    "testing a device": (["selftest", "--device", "gpu"], "expected --device auto, cpu, cuda"),
    "downloading nothing": (["download"], "expected --model or --dataset, got neither"),
    "downloading a data set": (["download", "-d", "mnsit"], "did you mean 'mnist'"),
    "downloading a pattern": (["download", "-m", "mnist-z*"], "matches no model"),
    "a machine for a model": (["doctor", "-m", "mnist-nothing"], "unknown model"),
    "a machine's device": (["doctor", "--device", "gpu"], "expected --device auto, cpu, cuda"),
    "publishing nothing": (["publish", "--submissions", "nowhere"], "expected a folder of"),
    "publishing nowhere": (["publish", "--yes"], "expected --repository owner/name with --yes"),
    "publishing and not": (["publish", "--yes", "--dry-run"], "expected --dry-run or --yes"),
    "publishing to a name": (["publish", "--repository", "x"], "as owner/name, found 'x'"),
    "a study": (["study", "plan", "fashionmnist-2062"], "did you mean 'fashionmnist-2026'"),
    "a cell": (["study", "run", STUDY, "--cells", "x*"], "expected a cell of study"),
    "a group": (["study", "plan", STUDY, "--group", "x"], "expected a group of study"),
    "the study's device": (["study", "run", STUDY, "--device", "gpu"], "expected --device auto"),
    "the study's blocks": (["study", "submit", STUDY, "-o", "nowhere"], "expected finished blocks"),
    "the study's copy": (["study", "compare", STUDY, "-o", "nowhere"], "expected a block of study"),
    "a report of nothing": (["study", "report", "--studies", "x"], "expected a folder of studies"),
    "training nothing": (["train", "-m", "mnist-nothing"], "unknown model"),
    "training what is trained": (["train", "-m", "resnet50d"], "which comes trained"),
    "training no epoch": (["train", "-m", NET, "--epochs", "0"], "expected --epochs of at least 1"),
    "training at no rate": (["train", "-m", NET, "--lr", "nan"], "expected --lr above 0"),
    "training on nothing": (["train", "-m", NET, "--data-dir", "nowhere"], "found nothing at"),
    "probing nothing": (["probe", "bands", "-m", "mnist-nothing"], "unknown model"),
    "probing no sample": (["probe", "filters", "-m", NET, "--limit", "0"], "--limit of at least 1"),
    "probing a data set": (["probe", "bands", "-m", NET, "-d", "mnist"], "--dataset fashionmnist"),
    "verifying no sample": (["verify", "x.parquet", "--samples", "0"], "--samples of at least 1"),
    "checking against nothing": (["check", ".", "--against", "x"], "a checkout's folder or a"),
}
"""What is wrong -> the arguments, and words of the one line on stderr."""
