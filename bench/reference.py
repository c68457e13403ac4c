"""The benchmark in one plain file, from images and a net to a row of the board: read it first.

One image at a time on the CPU, nothing shared with the rest of the house, whose fast code is tested
against this file (tests/test_reference.py). numpy and torch only.

    rows = [row(net, image, label) for image, label in zip(images, labels)]
    board_row(rows)

`net` maps (1, C, H, W) float32 images in [0, 1] to (1, classes) logits, in eval mode; an image is a
(C, H, W) float32 tensor, a label its class. Not here: `min-linf`, the witnesses, ranks.

Source: Caro et al. 2024, https://doi.org/10.3389/fncom.2024.1387077 (spectra, PGD of Table 10); the
minimum is this project's (protocol minimal2026).
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

Floats = npt.NDArray[np.float64]

PGD = {"pgd-linf": (8 / 255, 1000, torch.inf), "pgd-l2": (2, 1000, 2), "pgd-l1": (0.1, 200, 1)}
"""Table 10: budget, steps, norm; a step is .1 of the budget; L1's budget is a mean over values."""
STARTS = 5
"""Starts of the minimal attack beyond the best point; all but the first with noise."""
STEPS = 1000
"""Trials of one descent, at most."""
SLACK = 1.4
"""A class is tried if its first-order distance is below this multiple of the best so far."""


def row(net: nn.Module, image: Tensor, label: int, attack: str = "min-l2") -> dict[str, Any]:
    """Attack one image, if it is classified correctly, and measure what changed: one row."""
    found: dict[str, Any] = {"label": label, "clean_pred": predict(net, image)}
    found["clean_correct"] = found["clean_pred"] == label
    if not found["clean_correct"]:
        return found | {"success": False, "status": "clean_wrong"}
    attacked = pgd(net, image, label, attack) if attack in PGD else minimal_l2(net, image, label)
    delta, slope = (attacked - image).double(), loss_gradient(net, image, label).double()
    size, at_bound = delta.abs().flatten(), (attacked <= 0) | (attacked >= 1)
    found["adv_pred"] = predict(net, attacked)
    found["success"] = found["adv_pred"] != label
    found["status"] = "ok" if found["success"] else "not_fooled" if size.any() else "zero"
    found |= {"l0": int((size > 0).sum()), "l1": float(size.sum()), "linf": float(size.max())}
    found["l2"] = float(size.norm())
    found["clip_share"] = float((at_bound & (image > 0) & (image < 1)).double().mean())
    found["image_rfc"] = spectrum(image)["rfc"]
    found["grad_rfc"] = spectrum(slope / slope.abs().max())["rfc"]
    return found | {"zero_grad": not bool(slope.any())} | spectrum(delta)


def board_row(rows: Sequence[dict[str, Any]], seed: int = 0, draws: int = 2000) -> dict[str, float]:
    """Return what the board shows of one model: means over samples that are right, then fooled.

    `rfc_low` and `rfc_high`: 95 %, all samples drawn again. `median_l2`: of those that are right;
    one that is not fooled is infinitely far.
    """
    right = [r for r in rows if r["clean_correct"]]
    kept = [r for r in right if r["success"]]
    if not kept:
        raise ValueError("expected a sample that is classified correctly and fooled, found none")
    rfc = np.array([r["rfc"] if r["success"] else np.nan for r in rows])
    drawn = rfc[np.random.default_rng(seed).integers(len(rows), size=(draws, len(rows)))]
    low, high = np.quantile(np.nanmean(drawn[np.isfinite(drawn).any(1)], 1), (0.025, 0.975))
    return {
        "n": len(rows), "n_kept": len(kept), "clean_accuracy": len(right) / len(rows),
        "success": len(kept) / len(right), "rfc": float(np.nanmean(rfc)),
        "rfc_low": float(low), "rfc_high": float(high),
        **{name: float(np.mean([r[name] for r in kept])) for name in ("hfe", "image_rfc")},
        "median_l2": float(np.median([r["l2"] if r["success"] else np.inf for r in right])),
    }  # fmt: skip


def spectrum(delta: Tensor) -> dict[str, Any]:
    """Return the spectral columns of one (C, H, W) perturbation; NaN where there is no power."""
    values = delta.double().numpy()
    channels, height, width = values.shape
    fy, fx = np.meshgrid(np.fft.fftfreq(height), np.fft.fftfreq(width), indexing="ij")
    r = np.sqrt(fx**2 + fy**2) / 0.5  # 1 at Nyquist, sqrt 2 in the corners
    power = (np.abs(np.fft.fft2(values, norm="ortho")) ** 2).sum(0)
    total = power.sum() if power.sum() > 0 else np.nan
    p = power.copy()
    p[0, 0] = 0  # the mean says nothing of frequencies
    p /= p.sum() if p.sum() > 1e-28 * total else np.nan
    box = (np.abs(fy) <= 1 / 8) & (np.abs(fx) <= 1 / 8)  # |ky| <= H / 8 and |kx| <= W / 8
    angle = np.arctan2(np.abs(fy), np.abs(fx))
    near = (np.minimum(angle, np.pi / 2 - angle) <= np.pi / 8) & (r > 0)
    ring = np.minimum(63, np.floor(64 * r / np.sqrt(2) + 1e-9).astype(int))
    luma = {1: [1.0], 3: [0.2989, 0.5870, 0.1140]}.get(channels, [np.nan] * channels)
    gray = np.abs(np.fft.fft2(np.tensordot(luma, values, 1))).clip(1e-12) + 0 * total
    rings = [np.log(gray[ring == k]).mean() if (ring == k).any() else np.nan for k in range(64)]
    radii = np.unique(r.round(12))
    within = np.array([p[r <= radius + 1e-9].sum() for radius in radii])
    return {
        "rfc": float((r * p).sum()),
        "hfe": float(p[r > 0.5].sum()),
        "f50": float(radii[np.argmax(within >= 0.5)] + 0 * p.sum()),
        "kappa_high": float(np.sqrt(power[~box].sum() / total)),
        "dc_share": float(power[0, 0] / total),
        "axis_share": float(p[near].sum()),
        "entropy": float(-(p * np.log(np.where(p > 0, p, 1))).sum() / np.log(max(p.size - 1, 2))),
        "radial_energy": np.array([p[ring == k].sum() + 0 * p.sum() for k in range(64)]),
        "log_luma_profile": np.array(rings),
    }


def pgd(net: nn.Module, image: Tensor, label: int, attack: str) -> Tensor:
    """Return the image after fixed steps up the loss within a ball (Madry et al. 2018)."""
    budget, steps, order = PGD[attack]
    budget = budget * image.numel() if attack == "pgd-l1" else budget
    x = image.clone()
    for _ in range(steps):
        slope = loss_gradient(net, x, label)
        if attack == "pgd-linf":
            delta = (x + 0.1 * budget * slope.sign() - image).clamp(-budget, budget)
        else:
            delta = x + 0.1 * budget * slope / slope.norm(order).clamp_min(1e-12) - image
            delta = delta * (budget / delta.norm(order).clamp_min(1e-12)).clamp_max(1)
        x = (image + delta).clamp(0, 1)
    return x


def loss_gradient(net: nn.Module, image: Tensor, label: int) -> Tensor:
    """Return the gradient (C, H, W) of the cross-entropy at one image."""
    x = image.clone().requires_grad_(True)
    loss = nn.functional.cross_entropy(net(x[None]), torch.tensor([label]))
    return torch.autograd.grad(loss, x)[0]


def predict(net: nn.Module, image: Tensor) -> int:
    """Return the class of one image."""
    return int(net(image[None])[0].argmax())


def minimal_l2(net: nn.Module, image: Tensor, label: int) -> Tensor:
    """Return the nearest image in L2, within [0, 1], that the net gives another class.

    Of an affine net it is the minimum. Of another it is the best of several descents, each to a
    local minimum: nothing here proves that there is no shorter one.
    """
    search = Search(net, image, label)
    first = search.first_order()
    delta = first[0][2] if search.is_affine() else search.best(first)
    return settle(net, image, torch.from_numpy(delta).reshape(image.shape), label)


class Search:
    """One image in float64. The margin of class j is its logit minus the label's."""

    def __init__(self, net: nn.Module, image: Tensor, label: int) -> None:
        self.net, self.shape, self.label = copy.deepcopy(net).double(), image.shape, label
        self.x = image.double().flatten().numpy()
        logits = self.at(0 * self.x)[1].detach().numpy()
        self.others = [j for j in range(len(logits)) if j != label]
        way, asked = logits[label] - max(logits[self.others]), 1.2e-5 * np.ptp(logits)
        # a little more than settle() asks for, if that is near
        self.aim = asked if asked <= 1e-3 * way else 2e-5 * way

    def at(self, delta: Floats) -> tuple[Tensor, Tensor]:
        """Return the image (1, C, H, W) at x + delta and its logits (classes,), with a graph."""
        x = torch.from_numpy(self.x + delta).reshape(1, *self.shape)
        return x, self.net(x.requires_grad_(True))[0]

    def margin(self, delta: Floats, j: int) -> tuple[float, Floats]:
        """Return the margin of class j at x + delta and its gradient (D,)."""
        x, logits = self.at(delta)
        margin = logits[j] - logits[self.label]
        return float(margin.detach()), torch.autograd.grad(margin, x)[0].flatten().numpy()

    def is_affine(self) -> bool:
        """Return whether the gradients at the black image and at the negative are those here."""
        ends = [(j, d) for j in self.others for d in (-self.x, 1 - 2 * self.x)]
        here = {j: self.margin(0 * self.x, j)[1] for j in self.others}
        return all(np.abs(self.margin(d, j)[1] - here[j]).max() < 1e-9 for j, d in ends)

    def first_order(self) -> list[tuple[float, int, Floats]]:
        """Return distance, class and point of each linearised boundary, nearest first."""
        found = []
        for j in self.others:
            margin, gradient = self.margin(0 * self.x, j)
            point = to_plane(self.x, gradient, self.aim - margin)
            found.append((float(np.linalg.norm(point)), j, point))
        return sorted(found, key=lambda f: f[:2])

    def best(self, first: list[tuple[float, int, Floats]]) -> Floats:
        """Return the shortest end of descents: to near classes, then from beyond it, with noise."""
        best, size = 0 * self.x, np.inf
        noise = np.random.default_rng(0).standard_normal((STARTS, len(self.x)))
        noise[0], noise = 0, noise / np.sqrt(len(self.x))
        for distance, j, aside in [(d, j, None) for d, j, _ in first] + [(0, -1, n) for n in noise]:
            if distance < SLACK * size:
                start = 0 * self.x if aside is None or size == np.inf else 2 * best + size * aside
                end = self.descend(j, np.clip(self.x + start, 0, 1) - self.x)
                if end is not None and np.linalg.norm(end) < size:
                    best, size = end, float(np.linalg.norm(end))
        return best

    def descend(self, j: int, centre: Floats) -> Floats | None:
        """Return a local minimum of |delta| where the margin is at least the aim, within the box.

        A cut is what the margin's linearisation at some point allows, a half space; the trial is
        the shortest delta in all cuts. Where |delta| + price * (what the margin lacks) falls as the
        cuts promise, the centre moves and cuts begin anew; else the cut found there joins them,
        taken so near the centre that it does not contradict the margin at the centre.
        """
        if j < 0:  # the most likely one there
            logits = self.at(centre)[1].detach()
            j = max(self.others, key=lambda other: float(logits[other]))
        margin, slope = self.margin(centre, j)
        cuts = [(slope, float(self.aim - margin + slope @ centre))]
        price, reached, length = 0.0, None, np.inf
        for _ in range(STEPS):
            trial, multipliers = to_cuts(self.x, cuts)
            model = float(np.linalg.norm(trial))
            price = max(price, 1.5 * multipliers.sum() / max(model, 1e-12))
            merit = float(np.linalg.norm(centre)) + price * max(self.aim - margin, 0)
            if merit - model <= 1e-9 * merit:
                break
            for share in 2.0 ** -np.arange(30):
                point = centre + share * (trial - centre)
                there, slope = self.margin(point, j)
                cut = slope, float(self.aim - there + slope @ point)
                norm = float(np.linalg.norm(point))
                if there >= 0.9 * self.aim and norm < length:  # settle() does the rest
                    reached, length = point, norm
                new = norm + price * max(self.aim - there, 0)
                moved = merit - new >= 0.1 * share * (merit - model)
                if moved or slope @ centre - cut[1] >= margin - self.aim - 1e-9 * abs(margin):
                    break
            cuts = [cut] if moved else [*cuts, cut]
            centre, margin = (point, there) if moved else (centre, margin)
        return reached


def to_plane(x: Floats, normal: Floats, missing: float) -> Floats:
    """Return the shortest delta with normal . delta = missing and x + delta in [0, 1], else inf.

    By its KKT conditions it is clip(x + t normal, 0, 1) - x for one t, found by bisection.
    """
    low, high = 0.0, 1.0
    while normal @ (np.clip(x + high * normal, 0, 1) - x) < missing:
        high *= 2
        if high > 1e12:
            return np.full_like(x, np.inf)
    for _ in range(200):
        middle = (low + high) / 2
        enough = normal @ (np.clip(x + middle * normal, 0, 1) - x) >= missing
        low, high = (low, middle) if enough else (middle, high)
    return np.clip(x + high * normal, 0, 1) - x


def to_cuts(x: Floats, cuts: list[tuple[Floats, float]]) -> tuple[Floats, Floats]:
    """Return the shortest delta with normal . delta >= offset for all cuts and x + delta in [0, 1].

    It is clip(sum of m_k normal_k) for those m >= 0, returned too, that maximise the dual (Newton).
    """
    scale = np.array([np.linalg.norm(normal) for normal, _ in cuts]).clip(1e-300)
    a, h = np.array([c[0] for c in cuts]) / scale[:, None], np.array([c[1] for c in cuts]) / scale

    def dual(m: Floats) -> tuple[float, Floats]:
        delta = np.clip(x + m @ a, 0, 1) - x
        return float(m @ (h - a @ delta) + 0.5 * delta @ delta), delta

    m = np.zeros(len(h))
    value, delta = dual(m)
    for _ in range(100):
        rise = h - a @ delta
        free, inside = (m > 0) | (rise > 0), (delta > -x) & (delta < 1 - x)
        if np.abs(rise * free).max() <= 1e-12 * np.abs(h).max():
            break
        hessian, newton = (a[free] * inside) @ a[free].T, np.zeros(len(h))
        newton[free] = np.linalg.lstsq(hessian + 1e-13 * np.eye(len(hessian)), rise[free])[0]
        # cut off at 0, Newton's step need not rise; one along the slope does
        for step in (d * 2.0**-k for d in (newton, rise) for k in range(40)):
            better, point = dual(np.maximum(m + step, 0))
            if better > value:
                break
        else:
            break
        m, value, delta = np.maximum(m + step, 0), better, point
    return delta, m / scale


def settle(net: nn.Module, image: Tensor, delta: Tensor, label: int) -> Tensor:
    """Return clip(image + (1 + s) delta) for the least s whose margin is 1e-5 of the spread."""
    step = (image.double() + delta).clamp(0, 1).float() - image
    tries = []
    for growth in (0.0, 1e-5, 1e-4, 1e-3):
        x = (image + (1 + growth) * step).clamp(0, 1)
        logits = net(x[None])[0].detach().double().numpy()
        tries.append(((np.delete(logits, label).max() - logits[label]) / np.ptp(logits), x))
    settled = [x for margin, x in tries if margin >= 1e-5]
    return settled[0] if settled else max(tries, key=lambda tried: tried[0])[1]
