"""The minimal perturbations of an affine net without the box, in closed form."""

from __future__ import annotations

from typing import Any

import numpy.typing as npt
import torch
from torch import Tensor

from bench.models.collapse import AffineNet
from bench.spectrum import spectral_metrics


def free_rfc(net: AffineNet, images: Tensor, labels: Tensor) -> npt.NDArray[Any]:
    """Return the RFC of the shortest way to another class when pixels may have any value.

    Towards class j it is margin_j / |w_j - w_y|^2 times (w_j - w_y); the nearest j counts.

    Args:
        net: images -> logits.
        images: (B, C, H, W) in [0, 1].
        labels: (B,) the classes that are left.

    Returns:
        (B,) float64.
    """
    weight, offset = net.weight.double(), net.bias.double()
    classes = len(weight)
    logits = images.double().flatten(1) @ weight.t() + offset
    margins = logits.gather(1, labels[:, None]) - logits
    differences = weight[None] - weight[:, None]  # (from, to, D)
    lengths = differences.norm(dim=2)
    directions = differences.view(-1, *images.shape[1:])
    rfc = spectral_metrics(directions)["rfc"].view(classes, classes)
    distances = margins / lengths[labels]
    distances[torch.arange(len(labels)), labels] = torch.inf
    distances[distances.isnan()] = torch.inf  # classes of the same weights are never reached
    nearest = distances.argmin(1)
    found: npt.NDArray[Any] = rfc[labels, nearest].cpu().numpy()
    return found
