"""The minimal perturbation in tens of gradients: search, second starts, walk, finish.

Stage 1 runs the class that is nearest to first order at the clean image; stage 2 the others whose
first-order distance is within `slack` of the best. Stage 3 ranks the classes again where the best
point is, by its logits, and begins there (a margin that bends on the way makes the clean image a
poor judge). Where the search was not left in peace by the net's curvature a Brendel-Bethge walk
goes on from its best point; where it found nothing, walks begin at the given and nearest starts.

How it differs from its relatives:

- DeepFool (Moosavi-Dezfooli et al. 2016, https://arxiv.org/abs/1511.04599) adds up projections onto
  the last linearisation from wherever it is; FAB (Croce and Hein 2020,
  https://arxiv.org/abs/1907.02044) mixes such a projection with one of the clean image. Both know
  one plane at a time and oscillate between facets. Here the CLEAN image is projected, exactly and
  in the box, onto the intersection of several cuts, so a kink between two facets is a solution.
- Bundle methods (Lemarechal 1975; Kiwiel 1985, https://doi.org/10.1007/BFb0074500) keep cuts of a
  convex objective for ever. The boundary is not convex: a serious step drops all old cuts, and the
  objective (a norm in a box) is kept exact instead of being linearised. Linf keeps their proximal
  term, at the best point.
- Brendel-Bethge (Brendel et al. 2019, https://arxiv.org/abs/1907.01003) takes steps of a given size
  along one plane; here the cuts alone say how far to go.
"""

from __future__ import annotations

import torch
from torch import Tensor

from bench.attacks.minimum.options import Norm, Options
from bench.attacks.minimum.room import IMAGES, Room
from bench.attacks.minimum.stages import Found, Stages
from bench.steps.step import GradientStep

VALUES = 2**26
"""Values of gradients at the clean images that are held at once: larger batches go in parts."""


def minimise(
    step: GradientStep,
    images: Tensor,
    labels: Tensor,
    norm: Norm,
    *,
    options: Options | None = None,
    starts: Tensor | None = None,
    room: Room = IMAGES,
) -> Found:
    """Return the nearest images of another class.

    Args:
        step: the model's step, images in [0, 1] -> logits.
        images: (B, C, H, W) float32 in [0, 1].
        labels: (B,) int64, the true classes.
        norm: "l2" or "linf".
        options: the settings; None: the defaults.
        starts: (B, C, H, W) adversarial images in [0, 1] for samples that the search finds nothing
            for; those that are not adversarial are not used.
        room: where perturbations may lie; a walk knows images in [0, 1] only.
    """
    chosen = options or Options()
    assert room == IMAGES or not chosen.walk_steps, "a walk would leave the room"
    if len(images) == 0:
        return Found(images.clone(), (), labels.clone(), ())
    size = max(1, VALUES // (images[0].numel() * chosen.classes))
    parts = []
    for k in range(0, len(images), size):
        some = None if starts is None else starts[k : k + size]
        one = Stages(step, images[k : k + size], labels[k : k + size], norm, chosen, some, room)
        parts.append(one.found())
    return Found(
        torch.cat([part.adversarial for part in parts]),
        tuple(status for part in parts for status in part.status),
        torch.cat([part.gradients_per_image for part in parts]),
        tuple(reason for part in parts for reason in part.reason),
    )
