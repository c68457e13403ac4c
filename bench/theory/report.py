"""A theory report of one net: statements of its weights and of its untrained twin's."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from bench.entries.model import ModelEntry
from bench.errors import BenchError
from bench.figures.theory import Theory
from bench.grid import BIN_WIDTH, BINS, frequency_grid, ring_counts
from bench.models.choose import choose_model
from bench.results import probes as store
from bench.results.filesystem import FileSystem
from bench.results.provenance import commit, now, versions
from bench.theory.nets import Filters, filters, open_net
from bench.theory.page import html, markdown
from bench.theory.product import product
from bench.theory.statements import (
    SIZES,
    Statement,
    of_beta,
    of_kernels,
    of_products,
    of_widths,
)
from bench.theory.uncertainty import Floats, Sets

TRAINED, UNTRAINED, NO_NET = "trained", "untrained", "none"


@dataclass(frozen=True)
class Report:
    """What was found of one net.

    Attributes:
        name: of the net and its weights.
        dataset: its data set.
        lines: weights ("trained", "untrained", "none" for what needs no net) -> statements.
        shown: the figure.
        metadata: how it was made.
    """

    name: str
    dataset: str
    lines: Mapping[str, list[Statement]]
    shown: Theory
    metadata: Mapping[str, Any]

    def rows(self) -> list[dict[str, Any]]:
        """Return the rows of the result file."""
        return [
            {"weights": weights, **asdict(line)}
            for weights, lines in self.lines.items()
            for line in lines
        ]


def plan(model: str, weights: str = "default") -> ModelEntry:
    """Return the entry of a net that the theory can be checked on.

    Raises:
        BenchError: it is not one of the paper's nets, or has no weights.
    """
    entry = choose_model(model)
    if weights == "random":
        raise BenchError(
            "expected trained weights, got --weights random; the untrained twin is always beside "
            "them, leave it out"
        )
    open_net(entry, weights)
    return entry


def report(entry: ModelEntry, weights: str = "default", seed: int = 0) -> Report:
    """Check the theory on a net and its untrained twin.

    Args:
        entry: the net's.
        weights: "default" or a checkpoint of `bench train`.
        seed: of the untrained weights.
    """
    nets = {
        TRAINED: filters(entry, open_net(entry, weights)),
        UNTRAINED: filters(entry, open_net(entry, "random", seed)),
    }
    lines, kernels = {}, {}
    for name, net in nets.items():
        found, concentrations = of_kernels(net)
        lines[name] = [*found, *of_products(net), *of_beta(net)]
        kernels[name] = next(iter(concentrations.values())).frequency
    lines[NO_NET], costs = of_widths()
    net = nets[TRAINED]
    sets = Sets.of(net.size, net.window)
    shown = Theory(
        title=f"{entry.name}: kernels, products, beta, R_BWC",
        kernels=kernels,
        bound=sets.exact,
        white=sets.white,
        products={k: p for k, n in nets.items() if (p := _products(n)) is not None},
        beta={k: _radial(n.beta) for k, n in nets.items() if n.beta is not None},
        costs={
            name: [c.high / some[0].high for c in some]
            for (size, name), some in costs.items()
            if size == max(SIZES)
        },
    )
    metadata = {
        "theory": 1, "model": entry.name, "dataset": entry.dataset, "weights": weights,
        "seed": seed, "window": list(net.window), "low": list(sets.low),
        "versions": versions(), "git": commit(), "made": now(),
    }  # fmt: skip
    return Report(entry.name, entry.dataset, lines, shown, metadata)


def _products(net: Filters) -> tuple[Floats, Floats] | None:
    if not net.chain or net.readout is None:
        return None
    outside = Sets.of(net.size, net.window).outside.ravel()
    rows = [[*net.chain, net.readout[k : k + 1]] for k in range(len(net.readout))]
    found = product(rows, outside)
    return found.bound, found.kappa


def _radial(beta: Floats) -> tuple[Floats, Floats]:
    """Return radii and the mean power of the classes on each ring, relative to a flat spectrum."""
    centred = beta - beta.mean(0)
    power = (np.abs(np.fft.fft2(centred)) ** 2).sum(1).reshape(len(centred), -1)
    power[:, 0] = 0
    p = (power / power.sum(1, keepdims=True)).mean(0)
    size = beta.shape[-2], beta.shape[-1]
    counts = ring_counts(*size)
    counts[0] -= 1
    sums = np.bincount(frequency_grid(*size).bin, weights=p, minlength=BINS)
    there = counts > 0
    relative = np.asarray(sums[there] / counts[there] * (p.size - 1), dtype=np.float64)
    return np.asarray((np.flatnonzero(there) + 0.5) * BIN_WIDTH, dtype=np.float64), relative


def write(found: Report, files: FileSystem) -> list[str]:
    """Write `probes/<dataset>/<model>.theory.{parquet,md,html,svg}`; return where they are.

    Raises:
        BenchError: the place can't be written.
    """
    from bench.figures.style import svg

    address = store.probe_address(found.dataset, found.name, "theory")
    store.write(files, address, store.table(found.rows(), store.THEORY), found.metadata)
    with files.open(address.file) as stream:
        digest = hashlib.sha256(stream.read()).hexdigest()
    stem = address.file.removesuffix(".parquet")
    picture = svg(found.shown, digest)
    name = stem.rpartition("/")[2]
    text = {
        f"{stem}.svg": picture,
        f"{stem}.md": markdown(found.name, found.lines, f"{name}.svg", found.metadata).encode(),
        f"{stem}.html": html(found.name, found.lines, picture.decode(), found.metadata).encode(),
    }
    for key, content in text.items():
        with files.put(key) as out:
            out.write(content)
    return [files.where(key) for key in (address.file, *text)]
