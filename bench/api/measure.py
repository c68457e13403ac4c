"""Measuring: rows of a model, and its metrics again."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd
    from torch import nn

    from bench.run.progress import Progress


def evaluate(
    model: str | Path | nn.Module | Sequence[str],
    dataset: str | None = None,
    *,
    name: str | None = None,
    weights: str | Path = "default",
    trust: bool = False,
    attacks: str | Sequence[str] = (),
    protocol: str | None = None,
    data: str | None = None,
    data_dir: str | Path | None = None,
    limit: int | None = None,
    batch_size: int | None = None,
    device: str = "auto",
    seed: int | None = None,
    output: str | Path | None = "results",
    overwrite: bool = False,
    save_perturbations: bool = False,
    engine: str = "local",
    workers: int = 1,
    shard: str | None = None,
    address: str | None = None,
    gpus_per_task: float | None = None,
    partition: str | None = None,
    engine_options: Sequence[str] = (),
    offline: bool = False,
    submissions: str | Path | None = "submissions",
    progress: Progress | bool | None = None,
) -> pd.DataFrame:
    """Evaluate models and return their rows.

    Args:
        model: an `nn.Module` from (B, C, H, W) float images in [0, 1] to (B, classes) logits,
            normalisation inside, of which a copy is measured in eval mode; or an entry's name, a
            timm `arch.tag`, the path of an entry's TOML file, a pattern (`"fashionmnist-*"`), or a
            list of these.
        dataset: needed for a module; else it must be the entry's, if given.
        name: of a module's result, which is partial and never ranked: it has no entry. None: the
            name of its class. An entry's name is for the very model of that entry.
        weights: "default" (the entry's), "random" (an untrained control), or a file.
        trust: allow entries with a `factory`, which runs their code.
        attacks: a name or names from the protocol; all by default.
        protocol: name of the protocol; None: the one that ranks (minimal2026).
        data: "hub", "embedded" or "samples"; see README for the default.
        data_dir: a local copy of the data set.
        limit: only the first so many samples; the result is partial and never ranked.
        batch_size: samples attacked together; None: chosen from the input's size.
        device: "auto", "cpu", "cuda" or "cuda:<i>".
        seed: another than the protocol's makes the result partial.
        output: folder of the results, or a URL such as s3://bucket/folder; None: keep nothing on
            disk.
        overwrite: run again what is already there.
        save_perturbations: also write every perturbation, at the precision of a float16 where
            that leaves every metric within its tolerance, else of a float32.
        engine: "local", "ray" or "slurm": who runs the workers.
        workers: processes that share the work; on this machine each has a part of the threads. 1
            for a module, which other processes can't open.
        shard: "I/N", where this process begins among N; None: the SLURM array's task that it is.
        address: of a Ray cluster; None: Ray is started on this machine.
        gpus_per_task: GPUs of a worker, with Ray also a part of one.
        partition: of SLURM.
        engine_options: "KEY=VALUE", handed to the engine as they are.
        offline: never ask the network.
        submissions: folder whose result of the same model is compared with this one, with a
            warning if the model has changed; None: none.
        progress: None: shown on a terminal and in a notebook; True: shown; False: not; or who is
            told how far the run is (`bench.run.progress.Progress`).

    Returns:
        One row per (attack, sample_id) of each model, the columns of the result file (README,
        "Columns"). `bench.summary` and `bench.plot` take it.

    Raises:
        BenchError: the request can't be met; the text says what to do.
    """
    options = dict(locals())
    for mine in ("model", "name", "output", "progress"):
        del options[mine]
    from bench.run.call import evaluate_models

    return evaluate_models(model, name, output, progress, options)


def rescore(
    model: str,
    dataset: str | None = None,
    *,
    metrics: Sequence[str] = (),
    everything: bool = False,
    protocol: str | None = None,
    data: str | None = None,
    data_dir: str | Path | None = None,
    output: str | Path = "results",
    offline: bool = False,
) -> pd.DataFrame:
    """Measure metrics of a result from its stored perturbations; nothing is attacked.

    Args:
        model: its name in the results, `<model>[@random][@seedN]`.
        dataset: name of the data set; None: the entry's.
        metrics: names to replace; none: fill what the file lacks.
        everything: replace all metrics.
        protocol: name of the protocol; None: the one that ranks (minimal2026).
        data: as in `evaluate`.
        data_dir: as in `evaluate`.
        output: folder that `evaluate` wrote to, with `save_perturbations`.
        offline: never ask the network.

    Returns:
        One row per attack and metric: attack, metric, n, filled, largest (difference from what
        was there; NaN where nothing was), written.

    Raises:
        BenchError: no such result, no perturbations, or they are not those of its rows.
    """
    given = dict(locals())
    import pandas as pd

    from bench.run.request import Request
    from bench.run.rescore import rescore as measure

    del given["metrics"], given["everything"]
    changes = measure(Request.of(**given), metrics, everything)
    return pd.DataFrame([vars(change) for change in changes])


def selftest(device: str = "auto") -> pd.DataFrame:
    """Measure known values again on this machine: spectra, minima of linear models, the theory.

    Args:
        device: "auto", "cpu", "cuda" or "cuda:<i>".

    Returns:
        One row a value: value, expected, found (NaN where it broke), tolerance, ok, problem.

    Raises:
        BenchError: there is no such device.
    """
    import pandas as pd

    from bench.known.run import selftest as measure
    from bench.run.choose import choose_device

    lines = measure(choose_device(device))
    return pd.DataFrame([line.cells() for line in lines])


def doctor(
    model: str = "fashionmnist-local-conv-relu",
    *,
    output: str | Path = "results",
    device: str = "auto",
) -> pd.DataFrame:
    """Look at what this machine has and lacks for a model's evaluation. Nothing is downloaded.

    Args:
        model: whose evaluation is to be possible, and timed.
        output: where its results would go: a folder or a URL.
        device: "auto", "cpu", "cuda" or "cuda:<i>".

    Returns:
        One row a finding: topic ("versions", "device", "data", "weights", "writing", "engines",
        "job" or "time"), text, fine (None: neither good nor bad), remedy.

    Raises:
        BenchError: no such model, or no such device.
    """
    import pandas as pd

    from bench.run.doctor import examine

    return pd.DataFrame([vars(line) for line in examine(model, str(output), device)])


def download(
    models: Sequence[str] = (), datasets: Sequence[str] = (), *, offline: bool = False
) -> pd.DataFrame:
    """Bring weights and test images into the hub's cache, each file held against its hash.

    Args:
        models: names or patterns, whose weights and test images are brought.
        datasets: whose test images are brought.
        offline: never ask the network: hash what is here.

    Returns:
        One row a thing: what ("weights" or "images"), name, where, size (bytes; 0: part of the
        registry), hashed, fresh (downloaded now), problem (empty: it is at hand).

    Raises:
        BenchError: no such model, or a pattern that matches nothing.
    """
    import pandas as pd

    from bench.run.asked import entry_names
    from bench.run.download import Item, bring

    rows = []
    for what, name, found in bring(entry_names(models, None), datasets, offline=offline):
        known = found if isinstance(found, Item) else Item(what, name, "", 0, False, False)
        rows.append({**vars(known), "problem": str(found) if known is not found else ""})
    columns = ["what", "name", "where", "size", "hashed", "fresh", "problem"]
    return pd.DataFrame(rows, columns=columns)
