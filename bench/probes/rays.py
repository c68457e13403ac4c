"""How far a boundary is along a given direction."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

FACTOR = 2**0.5
"""Between two places that are looked at on the way out."""
OUT = 14
"""Places on the way out: up to 2^7 times the start."""
HALVINGS = 6
"""Of the interval with the crossing, in log distance: half a per cent."""

Predict = Callable[[Tensor], Tensor]
"""Images (n, C, H, W), any real values -> (n,) classes."""


def along(
    predict: Predict, images: Tensor, reference: Tensor, directions: Tensor, start: Tensor
) -> Tensor:
    """Return the distance at which the class first changes along directions.

    It is sought at `start` times powers of FACTOR, then by halving: a change back and forth
    between two of these places goes unseen.

    Args:
        predict: the model.
        images: (B, C, H, W), given their reference.
        reference: (B,) classes.
        directions: (B, C, H, W) of norm 1; NaN: none.
        start: (B,), where the search begins: no boundary is nearer.

    Returns:
        (B,) in the images' units, at least `start`; infinite where nothing changes within 2^7
        times the start; NaN without a direction or a start.
    """
    usable = directions.flatten(1).isfinite().all(1) & start.isfinite() & (start > 0)
    directions = torch.where(usable[:, None, None, None], directions, 0.0)
    low = torch.where(usable, start, 1.0)
    high = torch.full_like(low, torch.inf)
    place = low.clone()
    for number in range(OUT + 1):
        open_ = usable & high.isinf()
        if not bool(open_.any()):
            break
        rows = open_.nonzero()[:, 0]
        fooled = _other(predict, images, reference, directions, place, rows)
        high[rows[fooled]] = place[rows[fooled]]
        low[rows[~fooled]] = place[rows[~fooled]]
        if number == 0:  # already beyond at the start: that is the distance
            low[rows[fooled]] = place[rows[fooled]]
        place = place * FACTOR
    found = usable & high.isfinite() & (high > low)
    rows = found.nonzero()[:, 0]
    for _ in range(HALVINGS if len(rows) else 0):
        middle = (low * high).sqrt()
        fooled = _other(predict, images, reference, directions, middle, rows)
        high[rows[fooled]] = middle[rows[fooled]]
        low[rows[~fooled]] = middle[rows[~fooled]]
    return torch.where(usable, high, torch.nan)


def _other(
    predict: Predict,
    images: Tensor,
    reference: Tensor,
    directions: Tensor,
    place: Tensor,
    rows: Tensor,
) -> Tensor:
    at = images[rows] + place[rows][:, None, None, None] * directions[rows]
    found: Tensor = predict(at) != reference[rows]
    return found
