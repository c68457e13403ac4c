"""Start points of minimal attacks: an image that the model gives another class than the label.

Each (protocol seed, attack, sample) draws its own permutation of the protocol's ids and takes the
first image that qualifies. Pool images are predicted one by one, so that neither the batch nor the
order of the samples nor the number of workers can change a start.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

NOISE_DRAWS = 64
"""Uniform noise images tried when no pool image qualifies."""
BLEND_STEPS = 64
"""Fractions of noise tried on the way from the image to the noise."""
UNKNOWN = -2
"""Class of a pool image that was not predicted yet."""
NO_CLASS = -1
"""Class of an image whose logits are not finite."""
CHUNK = 16
"""Noise images in one forward pass; fixed, so that kernels never depend on anything else."""


class StartPool:
    """Draws start points and remembers the predictions of the pool's images.

    Args:
        images_of: sample ids -> (n, C, H, W) float32 in [0, 1] on the model's device.
        predict: (n, C, H, W) images -> (n,) int64 classes, NO_CLASS where there is none.
        pool_ids: the protocol's full id list, whatever part of it is evaluated.
        seed: the protocol's seed.
    """

    def __init__(
        self,
        images_of: Callable[[Sequence[int]], Tensor],
        predict: Callable[[Tensor], Tensor],
        pool_ids: Sequence[int],
        seed: int,
    ) -> None:
        self._images_of = images_of
        self._predict = predict
        self._pool_ids = tuple(pool_ids)
        self._seed = seed
        self._classes = np.full(len(self._pool_ids), UNKNOWN, dtype=np.int32)

    def starts(
        self, attack: str, sample_ids: Sequence[int], labels: Sequence[int], images: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Return a start point for each sample of a batch.

        Args:
            attack: name of the attack in the protocol.
            sample_ids: (B,) ids of the samples.
            labels: (B,) their true classes.
            images: (B, C, H, W) float32, their clean images.

        Returns:
            Start images (B, C, H, W) float32, and (B,) bool: False where no start was found
            (there the clean image stands in).
        """
        found = [
            self.start(attack, sample_id, label, image)
            for sample_id, label, image in zip(sample_ids, labels, images, strict=True)
        ]
        ok = torch.tensor([start is not None for start in found], device=images.device)
        chosen = [i if s is None else s for s, i in zip(found, images, strict=True)]
        return (torch.stack(chosen) if chosen else images.clone()), ok

    def start(self, attack: str, sample_id: int, label: int, image: Tensor) -> Tensor | None:
        """Return one start point (C, H, W), or None if neither pool nor noise gives any."""
        order = np.argsort(
            draw_bits(self._seed, attack, sample_id, "pool", len(self._pool_ids)), kind="stable"
        )
        for position in order:
            if self._class_of(int(position)) not in (label, NO_CLASS):
                return self._images_of([self._pool_ids[position]])[0]
        return self._blended_noise(attack, sample_id, label, image)

    def _others(self, images: Tensor, label: int) -> Tensor:
        found = self._predict(images)
        return (found != label) & (found != NO_CLASS)

    def _class_of(self, position: int) -> int:
        if self._classes[position] == UNKNOWN:
            image = self._images_of([self._pool_ids[position]])
            self._classes[position] = int(self._predict(image)[0])
        return int(self._classes[position])

    def _blended_noise(
        self, attack: str, sample_id: int, label: int, image: Tensor
    ) -> Tensor | None:
        """Return the least noisy blend of the image with uniform noise that changes the class."""
        for draw in range(0, NOISE_DRAWS, CHUNK):
            noise = torch.stack(
                [
                    _uniform(draw_bits(self._seed, attack, sample_id, f"noise{k}", image.numel()))
                    for k in range(draw, draw + CHUNK)
                ]
            )
            noise = noise.reshape(CHUNK, *image.shape).to(image)
            other = self._others(noise, label)
            if other.any():
                return self._least_blend(image, noise[int(other.int().argmax())], label)
        return None

    def _least_blend(self, image: Tensor, noise: Tensor, label: int) -> Tensor:
        for step in range(1, BLEND_STEPS + 1, CHUNK):
            share = torch.arange(step, step + CHUNK).to(image) / BLEND_STEPS
            blends = torch.lerp(image[None], noise[None], share[:, None, None, None])
            other = self._others(blends, label)
            if other.any():
                return blends[int(other.int().argmax())]
        return noise


def draw_bits(
    seed: int, attack: str, sample_id: int, purpose: str, count: int
) -> npt.NDArray[np.uint64]:
    """Return random bits that depend on the arguments only.

    Raw Philox bits, because numpy keeps these streams fixed between versions (its distributions
    and permutations may change).

    Args:
        seed: the protocol's seed.
        attack: name of the attack in the protocol.
        sample_id: id of the sample.
        purpose: what is drawn; different purposes are independent.
        count: how many values.

    Returns:
        (count,) uint64.
    """
    digest = hashlib.sha256(f"{seed}|{attack}|{sample_id}|{purpose}".encode()).digest()
    key = np.frombuffer(digest[:16], dtype="<u8").astype(np.uint64)
    bits = np.random.Philox(key=key).random_raw(count)
    return np.asarray(bits, dtype=np.uint64)


def _uniform(bits: npt.NDArray[np.uint64]) -> Tensor:
    """Return float32 values in [0, 1) from the upper 24 bits."""
    return torch.from_numpy((bits >> np.uint64(40)).astype(np.float64) * 2.0**-24)
