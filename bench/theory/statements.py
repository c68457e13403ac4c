"""What the paper's theory says, and whether it holds: proved, measured or violated.

"proved": a theorem; the number shown says how it looks here, and a number that contradicts it would
be an error of ours, and raise. "violated": the statement is false as it stands; here are cases.
"measured": neither; so it is in this net.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from bench.grid import frequency_grid
from bench.theory.bounded_width import Cost, cost, rises_as_kernels_shrink, targets
from bench.theory.concentration import Concentration, concentration, of_energies
from bench.theory.nets import Filters
from bench.theory.product import Complex, Product, product
from bench.theory.uncertainty import Floats, Sets

Status = Literal["proved", "measured", "violated"]
CHUNK = 2048
"""Kernels that are transformed at once."""
SIZES = (8, 16)
"""Sizes D of the grid of R_BWC."""


@dataclass(frozen=True)
class Statement:
    """One line of the report.

    Attributes:
        statement: what is said.
        scope: of what in the net.
        status: see above.
        quantity: what the numbers are.
        n: how many filters, classes or cases.
        low, median, high: of the quantity over them.
        share: of them for which the statement fails; NaN where it is not one that may.
    """

    statement: str
    scope: str
    status: Status
    quantity: str
    n: int
    low: float
    median: float
    high: float
    share: float = float("nan")


def line(
    statement: str, scope: str, status: Status, quantity: str, values: Floats,
    fails: npt.NDArray[np.bool_] | None = None,
) -> Statement:  # fmt: skip
    """Return a statement over values (n,); NaN are left out (zero kernels)."""
    there = values[~np.isnan(values)]
    low, median, high = (
        (float(v) for v in (there.min(), np.median(there), there.max()))
        if len(there) else (float("nan"),) * 3
    )  # fmt: skip
    share = float("nan") if fails is None else float(fails.mean())
    return Statement(statement, scope, status, quantity, len(there), low, median, high, share)


def of_kernels(net: Filters) -> tuple[list[Statement], dict[str, Concentration]]:
    """Return what is said of each hidden layer's kernels, one by one and together."""
    lines, found = [], {}
    sets = Sets.of(net.size, net.window)
    lines += [_constants(sets)]
    for name, kernels in net.layers.items():
        single = _each(kernels, sets)
        whole = _together(kernels, sets)
        found[name] = single
        for slack in (single.slack, whole.slack):
            _must(float(np.nanmin(slack)) >= -1e-9, "the uncertainty principle")
        lines += [
            line("uncertainty: kappa off S + kappa off Omega >= exact constant", name, "proved",
                 "slack", single.slack),
            line("energy off the window S", name, "measured", "kappa off S", single.space),
            line("energy off the low frequencies", name, "measured", "kappa off Omega",
                 single.frequency),
            line("kernels are less low than a flat spectrum", name, "measured",
                 "kappa off Omega - white", single.frequency - sets.white,
                 single.frequency < sets.white),
            line("uncertainty, all kernels of the layer together", name, "proved", "slack",
                 whole.slack),
        ]  # fmt: skip
    return lines, found


def _constants(sets: Sets) -> Statement:
    values = np.array([sets.published, sets.exact, sets.white])
    return Statement(
        "constants: Ghobber-Jaming <= exact <= kappa off Omega of a flat spectrum",
        f"S {sets.window[0]} x {sets.window[1]}, |Omega| = {sets.frequencies}", "proved",
        "constants", 3, *(float(v) for v in values),
    )  # fmt: skip


def _each(kernels: Floats, sets: Sets) -> Concentration:
    parts = [
        concentration(_padded(kernels[i : i + CHUNK], sets.size), sets)
        for i in range(0, len(kernels), CHUNK)
    ]
    space, frequency, norm = (
        np.concatenate([getattr(p, name) for p in parts]) for name in ("space", "frequency", "norm")
    )
    return Concentration(space, frequency, sets.exact, norm)


def _together(kernels: Floats, sets: Sets) -> Concentration:
    """Return kappa of all kernels (N, C, h, w) as one of N C channels, in a common window."""
    energy, power = np.zeros(sets.size), np.zeros(sets.size)
    for i in range(0, len(kernels), CHUNK):
        padded = _padded(kernels[i : i + CHUNK], sets.size)
        energy += (padded**2).sum((0, 1))
        power += (np.abs(np.fft.fft2(padded, norm="ortho")) ** 2).sum((0, 1))
    return of_energies(energy[None], power[None], sets)


def _padded(kernels: Floats, size: tuple[int, int]) -> Floats:
    if kernels.shape[2:] == size:
        return kernels
    grid = np.zeros((*kernels.shape[:2], *size))
    grid[:, :, : kernels.shape[2], : kernels.shape[3]] = kernels
    return grid


def of_products(net: Filters) -> list[Statement]:
    """Return both forms of the product bound, for the circular families."""
    if not net.chain or net.readout is None:
        return []
    outside = Sets.of(net.size, net.window).outside.ravel()
    rows = [net.readout[k : k + 1] for k in range(len(net.readout))]
    chains: dict[str, list[list[Complex]]] = {}
    if net.depth > 1:
        last = net.chain[-1]
        chains["hidden layers, by output channel"] = [
            [*net.chain[:-1], last[o : o + 1]] for o in range(len(last))
        ]
    chains["hidden layers and read-out, by class"] = [[*net.chain, row] for row in rows]
    if net.depth == 1:
        first = net.chain[0]
        chains["one filter and its read-out, by filter and class"] = [
            [first[c : c + 1], row[:, c : c + 1]] for c in range(len(first)) for row in rows
        ]
    note = "" if net.beta is not None else " (kernels as if there were no ReLU)"
    return [
        s for scope, some in chains.items() for s in _product(scope + note, product(some, outside))
    ]


def _product(scope: str, found: Product) -> list[Statement]:
    _must(found.holds, "the unnormalised product bound")
    ratio = found.kappa / found.bound
    status: Status = "violated" if found.fails.any() else "measured"
    return [
        line("product bound, unnormalised: |B on Omega| <= product of |M_l on Omega|", scope,
             "proved", "ln of left / right", found.log_ratio),
        line("product bound, normalised: kappa(Omega, B) <= product of kappa(Omega, M_l)", scope,
             status, "left / right", ratio, found.fails),
    ]  # fmt: skip


def of_beta(net: Filters) -> list[Statement]:
    """Return what beta, the linear net's weights from end to end, looks like."""
    if net.beta is None:
        return []
    sets = Sets.of(net.size, net.window)
    centred = net.beta - net.beta.mean(0)
    power = (np.abs(np.fft.fft2(centred)) ** 2).sum(1).reshape(len(centred), -1)
    power[:, 0] = 0
    rfc = power @ frequency_grid(*net.size).radius / power.sum(1)
    return [
        line("beta, class by class (mean over classes taken off): centroid", "beta", "measured",
             "RFC", rfc),
        line("beta: energy off the low frequencies", "beta", "measured", "kappa off Omega",
             concentration(centred, sets).frequency),
        line(f"beta: the regulariser of full-width linear nets, l_(2/{net.depth + 1}) of beta^, "
             "over that of a flat spectrum of the same norm", "beta", "measured", "ratio",
             quasi_norm(centred, net.depth + 1)),
    ]  # fmt: skip


def quasi_norm(beta: Floats, layers: int) -> Floats:
    """Return the l_{2/L} quasi-norm of beta^ over that of a flat spectrum of the same norm.

    Args:
        beta: (N, C, H, W); the channels' frequencies are taken as one list.
        layers: L, the read-out included.

    Returns:
        (N,) in (0, 1]: 1 where all frequencies have the same power.

    Source: Gunasekar et al. 2018, https://arxiv.org/abs/1806.00468 (one channel, full width).
    """
    amplitude = np.abs(np.fft.fft2(beta)).reshape(len(beta), -1)
    order = 2 / layers
    quasi = (amplitude**order).sum(1) ** (1 / order)
    flat = amplitude.shape[1] ** (1 / order - 0.5) * np.linalg.norm(amplitude, axis=1)
    ratio: Floats = quasi / flat
    return ratio


def of_widths() -> tuple[list[Statement], dict[tuple[int, str], list[Cost]]]:
    """Return what is said of R_BWC, on a grid of sizes, predictors and kernel sizes; no net."""
    costs = {
        (size, name): [cost(beta, k) for k in range(1, size + 1)]
        for size in SIZES
        for name, beta in targets(size).items()
    }
    _must(all(rises_as_kernels_shrink(c) for c in costs.values()), "Lemma 1's monotony")
    gaps = np.array([c.gap for some in costs.values() for c in some])
    falls = np.array([a.high / b.high - 1 for c in costs.values() for a, b in _pairs(c)])
    turned, apart = _turned()
    lines = [
        line("R_BWC rises as kernels shrink (Lemma 1: nested sets)", "one channel, D = 8, 16",
             "proved", "R_K' / R_K - 1 for K' = K - 1", falls),
        line("R_BWC has converged: upper and lower bound", "one channel, D = 8, 16", "measured",
             "relative gap", gaps),
        line("a small kernel favours high frequencies (end of the proof; read as: what it costs, "
             "R_K / R_D, is less for the mirror image of a low predictor)",
             "one channel, D = 8, 16", "violated" if (~apart).any() else "measured",
             "cost of the mirror image / cost of the low one - 1", turned, ~apart),
    ]  # fmt: skip
    return [*lines, *_energies()], costs


def _pairs(costs: list[Cost]) -> list[tuple[Cost, Cost]]:
    return list(itertools.pairwise(costs))


def _turned() -> tuple[Floats, npt.NDArray[np.bool_]]:
    """Compare what a smaller kernel costs a low predictor and its mirror image.

    Multiplying by (-1)^n mirrors the spectrum, low to high (even D), and every kernel's with it.

    Returns:
        cost of the mirror image over that of the low predictor, less 1; and whether it is lower,
        by more than the bounds of R_K leave open. Each (n,), over D, low predictors and K.
    """
    found, lower = [], []
    for size in SIZES:
        sign = (-1.0) ** np.arange(size)
        for beta in targets(size).values():
            if not _low(beta):
                continue
            whole, whole_turned = cost(beta, size), cost(beta * sign, size)
            for k in (2, 3, size // 2):
                one, two = cost(beta, k), cost(beta * sign, k)
                found.append((two.high / whole_turned.high) / (one.high / whole.high) - 1)
                lower.append(two.high / whole_turned.low < one.low / whole.high - 1e-9)
    return np.array(found), np.array(lower, dtype=np.bool_)


def _low(beta: Floats) -> bool:
    """Return whether most of the energy of a predictor (D,) is below half of Nyquist."""
    power = np.abs(np.fft.fft(beta)) ** 2
    below = np.abs(np.fft.fftfreq(len(beta))) < 0.25
    return bool(power[below].sum() > 0.6 * power.sum())


def _energies() -> list[Statement]:
    """The proof's first line: a smaller kernel has more high-frequency energy, for all kernels."""
    sets = {k: Sets.of((28, 28), (k, k)) for k in range(1, 29)}
    exact = np.array([sets[k].exact for k in sets])
    _must(bool((np.diff(exact) <= 1e-6).all()), "the constant falls as the window grows")
    pairs = {  # small kernel, large kernel
        "ones": (np.ones((3, 3)), np.ones((5, 5))),
        "alternating ones": (np.ones((3, 3)), (-1.0) ** np.add.outer(np.arange(5), np.arange(5))),
    }
    kernels = np.zeros((4, 1, 28, 28))
    for place, kernel in enumerate(kernel for pair in pairs.values() for kernel in pair):
        kernels[place, 0, : len(kernel), : len(kernel)] = kernel
    small, large = concentration(kernels, sets[5]).frequency.reshape(-1, 2).T
    return [
        line("the bound rises as the window shrinks, 28 px", "K = 1 .. 28", "proved",
             "exact constant", exact),
        line("a smaller kernel has more energy in high frequencies (proof of Lemma 1), for all "
             "kernels", "ones of 3 x 3 against ones, and alternating ones, of 5 x 5",
             "violated" if (small <= large).any() else "measured",
             "kappa off Omega: 3 x 3 less 5 x 5", small - large, small <= large),
    ]  # fmt: skip


def _must(holds: bool, what: str) -> None:
    """Raise where a theorem seems not to hold: that would be our own error."""
    if not holds:
        raise AssertionError(f"{what} is a theorem; a number that contradicts it is wrong")
