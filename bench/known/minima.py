"""Known values of the attacks: linear models in closed form, and the plain reference."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn

from bench.attacks.run import perturb
from bench.data.base import load_batch
from bench.data.load import load_images
from bench.entries import registry
from bench.known.spectra import noise
from bench.known.value import Known
from bench.models.load import load_model
from bench.reference import row, to_plane
from bench.spectrum import spectral_metrics

SIDE = 8
EMBEDDED = "fashionmnist-local-conv"


def linear(weights: Tensor, bias: Tensor) -> nn.Module:
    """Return a frozen linear classifier (classes, SIDE * SIDE)."""
    layer = nn.Linear(weights.shape[1], weights.shape[0])
    with torch.no_grad():
        layer.weight.copy_(weights)
        layer.bias.copy_(bias)
    return nn.Sequential(nn.Flatten(), layer).eval().requires_grad_(False)


def two_classes(device: torch.device) -> tuple[nn.Module, Tensor, Tensor, float]:
    """Return a binary model, gray images far from the box, w, and what class 1 lacks there."""
    w = noise(SIDE * SIDE, seed=1)
    bias = -0.5 * w.sum() - 0.4
    model = linear(torch.stack([torch.zeros_like(w), w]), torch.stack([0 * bias, bias]))
    images = torch.full((4, 1, SIDE, SIDE), 0.5)
    return model.to(device), images.to(device), w, 0.4


def _binary(protocol: str, attack: str, what: str) -> Callable[[torch.device], float]:
    """The perturbation's direction or size over the closed form's; white starts where needed."""

    def find(device: torch.device) -> float:
        model, images, w, missing = two_classes(device)
        settings = registry.protocol(protocol).attacks[attack]
        labels = torch.zeros(len(images), dtype=torch.int64, device=device)
        starts = (images + 0.4 * w.sign().view(1, 1, SIDE, SIDE).to(images)).clamp(0, 1)
        given = starts if settings.needs_starts else None
        found = perturb(settings, model, images, labels, given).adversarial
        delta = (found - images).flatten(1).double().cpu()
        if what == "cosine":
            return float((delta @ w / delta.norm(dim=1) / w.norm()).min())
        order, dual = (2, 2) if settings.norm == "l2" else (torch.inf, 1)
        return float((delta.norm(order, dim=1) / (missing / w.norm(dual))).max())

    return find


def _boxed(device: torch.device) -> float:
    """Mean size of min-l2 over the exact minimum within the box, of a model of five classes."""
    weights, bias = noise(5, SIDE * SIDE, seed=2), noise(5, seed=3)
    model = linear(weights, bias).to(device)
    images = (noise(12, 1, SIDE, SIDE, seed=4) * 0.5 + 0.2).clamp(0, 1).float().to(device)
    labels = model(images).argmax(1)
    settings = registry.protocol("minimal2026").attacks["min-l2"]
    found = perturb(settings, model, images, labels, images.flip(0)).adversarial
    sizes = (found - images).flatten(1).double().norm(dim=1).cpu().numpy()
    exact = []
    for x, own in zip(images.flatten(1).double().cpu().numpy(), labels.tolist(), strict=True):
        logits = weights.numpy() @ x + bias.numpy()
        ways = [
            to_plane(x, (weights[j] - weights[own]).numpy(), logits[own] - logits[j])
            for j in range(5) if j != own
        ]  # fmt: skip
        exact.append(min(np.linalg.norm(way) for way in ways))
    return float(np.mean(sizes / np.array(exact)))


def _reference(device: torch.device) -> float:
    """Largest difference in RFC of min-l2 from the plain reference, on embedded images."""
    data = load_images(
        registry.dataset("fashionmnist"), "test", data="embedded",
        registry_dir=registry.registry_dir(),
    )  # fmt: skip
    images, labels = load_batch(data, range(8)), torch.from_numpy(data.labels[:8])
    plain = [
        row(load_model(EMBEDDED), image, int(label))
        for image, label in zip(images, labels, strict=True)
    ]
    settings = registry.protocol("minimal2026").attacks["min-l2"]
    model = load_model(EMBEDDED, device=str(device))
    x, y = images.to(device), labels.to(device)
    delta = perturb(settings, model, x, y, x.flip(0)).adversarial - x
    pairs = zip(plain, spectral_metrics(delta)["rfc"].tolist(), strict=True)
    return max(abs(float(p["rfc"]) - float(f)) for p, f in pairs if p["success"])


VALUES: tuple[Known, ...] = (
    Known("binary linear model: min-l2 is parallel to w", 1.0, 1e-5,
          _binary("minimal2026", "min-l2", "cosine")),
    Known("binary linear model: min-l2 / (margin / |w|)", 1.0, 1.1e-3,
          _binary("minimal2026", "min-l2", "size")),
    Known("binary linear model: min-linf / (margin / |w|_1)", 1.0, 1.1e-3,
          _binary("minimal2026", "min-linf", "size")),
    Known("binary linear model: bb-l2 is parallel to w", 1.0, 1e-3,
          _binary("caro2024", "bb-l2", "cosine")),
    Known("binary linear model: bb-l2 / (margin / |w|)", 1.0, 5e-3,
          _binary("caro2024", "bb-l2", "size")),
    Known("5 classes in the box: min-l2 / exact minimum (KKT)", 1.0, 1.5e-3, _boxed),
    Known("embedded net, 8 images: RFC of min-l2 off the plain reference", 0.0, 1e-4, _reference),
)  # fmt: skip
