"""Why a spectrum is what it is: probes, and the paper's theory."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd


def probe(
    name: str,
    model: str,
    dataset: str | None = None,
    *,
    limit: int = 200,
    twin: bool = True,
    weights: str | Path = "default",
    trust: bool = False,
    data: str | None = None,
    data_dir: str | Path | None = None,
    batch_size: int | None = None,
    device: str = "auto",
    seed: int | None = None,
    output: str | Path | None = "results",
    overwrite: bool = False,
    engine: str = "local",
    workers: int = 1,
    address: str | None = None,
    gpus_per_task: float | None = None,
    partition: str | None = None,
    engine_options: Sequence[str] = (),
    offline: bool = False,
) -> pd.DataFrame:
    """Measure a probe on a model and on the same net untrained.

    Args:
        name: one of `bench.entries.probe_names.PROBES`, such as "bands".
        model: entry name, timm `arch.tag`, or the path of an entry's TOML file.
        dataset: must be the entry's, if given.
        limit: the first so many of the protocol's samples.
        twin: also measure the untrained net, `<model>@random`.
        weights: "default" (the entry's), or a file.
        trust, data, data_dir, batch_size, device, overwrite, engine, workers, address,
            gpus_per_task, partition, engine_options, offline: as in `evaluate`.
        seed: of all draws; None: the protocol's.
        output: folder of the results; None: keep nothing on disk.

    Returns:
        One row per (model, attack, sample_id), `attack` being a part of the probe such as
        "band-3"; columns as the class of the probe says (`bench.entries.probes.probe_class`).

    Raises:
        BenchError: the request can't be met; the text says what to do.
    """
    options = {key: value for key, value in locals().items() if key not in ("name", "twin")}
    options["engine_options"] = tuple(engine_options)
    from bench.probes.evaluate import asked_of, with_twin
    from bench.run.measure_probe import probe_rows

    if output is not None:
        return probe_rows(with_twin(asked_of(name, **options), twin))
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        return probe_rows(with_twin(asked_of(name, **{**options, "output": folder}), twin))


def probe_transfer(
    model: str,
    dataset: str | None = None,
    *,
    input_size: tuple[int, int] | None = None,
    seed: int = 0,
    output: str | Path | None = "results",
) -> pd.DataFrame:
    """Measure the frequency response of a model's evaluation transform; no weights are needed.

    Args:
        model: entry name, timm `arch.tag`, or the path of an entry's TOML file.
        dataset: must be the entry's, if given.
        input_size: (width, height) of the images that go in, pixels; None: 500 x 375 where the
            data set's images pass a transform, else as they are stored.
        seed: of the sinusoids' phases and the noise.
        output: folder of the results; None: keep nothing on disk.

    Returns:
        One row per sinusoid and per ring of white noise: the columns of
        `results/probes/<dataset>/<model>.transfer.parquet` (`bench.results.probes.TRANSFER`).

    Raises:
        BenchError: unknown model, or a size that makes no sense.
    """
    from bench.probes.run import plan_transfer, rows, run_transfer, write
    from bench.results.filesystem import files_at
    from bench.results.probes import TRANSFER, table

    files = None if output is None else files_at(output)
    plan = plan_transfer(model, dataset, input_size, seed)
    if files is not None:
        files.prepare()
    found = run_transfer(plan)
    if files is not None:
        write(found, files)
    result: pd.DataFrame = table(rows(found), TRANSFER).to_pandas()
    return result.astype({"aliased": "boolean"})


def check_theory(
    model: str,
    *,
    weights: str | Path = "default",
    seed: int = 0,
    output: str | Path | None = "results",
) -> pd.DataFrame:
    """Check the paper's theory on one of its nets, trained against untrained.

    Args:
        model: entry name of one of the paper's nets.
        weights: "default", or a checkpoint of `train`.
        seed: of the untrained weights.
        output: folder of the results; None: keep nothing on disk.

    Returns:
        One row a statement: weights, statement, scope, status ("proved", "measured" or
        "violated"), quantity, n, low, median, high, share (for which it fails; NaN: can't).

    Raises:
        BenchError: it is not one of the paper's nets, or its weights have no layers.
    """
    import pandas as pd

    from bench.results.filesystem import files_at
    from bench.theory.report import plan, report, write

    found = report(plan(model, str(weights)), str(weights), seed)
    if output is not None:
        files = files_at(output)
        files.prepare()
        write(found, files)
    return pd.DataFrame(found.rows())
