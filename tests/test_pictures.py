"""What a picture must be to be shown: by hand, and by simulation of honest and painted maps."""

from __future__ import annotations

import numpy as np
import pytest

from bench.grid import map_cells, map_rings
from bench.submissions.verify.pictures import (
    class_problem,
    cosine,
    delta_problem,
    image_problem,
    map_problem,
)

SIZE = 28


def test_an_image_may_round_the_other_way_and_no_more() -> None:
    image = np.full((1, 2, 2), 0.5)
    assert image_problem(image, image + 1 / 255) is None
    assert "differs from the data set's by 0.00784" in str(image_problem(image, image + 2 / 255))
    assert "found (1, 2, 3)" in str(image_problem(image, np.zeros((1, 2, 3))))


@pytest.mark.parametrize(
    ("stated", "wrong"), [(2, False), (1, False), (0, True), (3, True), (-1, True), (4, True)]
)
def test_the_class_is_the_largest_logit_or_as_good(stated: int, wrong: bool) -> None:
    # 3 is the label; 1 falls short of 2 by 5e-4 of the spread of 2, which rounding may do
    logits = np.array([0.0, 1.999, 2.0, 1.0])
    assert (class_problem(logits, 3, stated) is not None) == wrong


def test_a_perturbation_is_one_of_those_that_were_measured() -> None:
    rng = np.random.default_rng(0)
    one, other = rng.normal(size=(2, 1, 8, 8))
    assert cosine(one, 2 * one) == pytest.approx(1)
    assert cosine(one, -one) == pytest.approx(-1)
    assert cosine(one, np.zeros_like(one)) == 0
    assert delta_problem(one, [other, one + 0.1 * other]) is None
    assert "has cosine" in str(delta_problem(-one, [one]))
    assert "has cosine" in str(delta_problem(one, [other]))
    assert "has cosine 0.00" in str(delta_problem(one, []))


def honest(rng: np.random.Generator, n: int) -> np.ndarray:
    """Maps of noise whose amplitude falls with radius and from axis to axis, as a net's may."""
    f = np.fft.fftfreq(SIZE)
    r = np.hypot(f[:, None], 1.5 * f[None, :]) + 0.05
    noise = np.fft.fft2(rng.normal(size=(n, SIZE, SIZE))) / r
    power = np.abs(noise) ** 2
    power[:, 0, 0] = 0
    return np.fft.fftshift(power / power.sum(axis=(1, 2), keepdims=True), axes=(1, 2))


RINGS = map_rings(SIZE, SIZE).reshape(SIZE, SIZE)


@pytest.mark.parametrize("seen", [4, 8])
def test_the_true_map_passes_whatever_sample_is_seen(seen: int) -> None:
    rng = np.random.default_rng(1)
    maps = honest(rng, 800)
    for _ in range(100):
        some = rng.choice(800, seen, replace=False)
        assert map_problem(maps.mean(axis=0), 800, list(maps[some]), RINGS) is None


def test_a_painted_map_is_explained_worse_than_its_own_rings() -> None:
    rng = np.random.default_rng(2)
    maps = honest(rng, 800)
    true = maps.mean(axis=0)
    caught = 0
    for _ in range(50):
        paint = np.exp(rng.normal(0, 1, true.shape))
        paint = np.sqrt(paint * np.roll(paint[::-1, ::-1], 1, axis=(0, 1)))
        some = list(maps[rng.choice(800, 6, replace=False)])
        found = map_problem(true * paint / (true * paint).sum(), 800, some, RINGS)
        caught += found is not None and "worse than its own rings" in found
    assert caught == 50


def test_no_cell_is_below_the_measured_samples_part() -> None:
    maps = honest(np.random.default_rng(3), 20)
    true = maps.mean(axis=0)
    peak = np.unravel_index(true.argmax(), true.shape)
    gone = true.copy()
    gone[peak] *= 0.1
    assert map_problem(true, 20, list(maps), RINGS) is None
    assert "less than the measured" in str(map_problem(gone, 20, list(maps), RINGS))
    assert map_problem(true, 20, [], RINGS) is None
    assert map_problem(true, 0, list(maps), RINGS) is None


@pytest.mark.parametrize("size", [28, 32, 64, 96, 224])
def test_cells_are_those_of_the_measured_maps(size: int) -> None:
    """Where each frequency ends up, against the code that sums them."""
    import torch

    from bench.spectrum import mean_map

    rng = np.random.default_rng(size)
    cells = map_cells(size, size)
    p = rng.random((size, size))
    side = min(size, 64)
    wanted = np.bincount(cells, weights=p.ravel(), minlength=side * side).reshape(side, side)
    np.testing.assert_allclose(mean_map(torch.from_numpy(p)[None])[0].numpy(), wanted, rtol=1e-12)
    rings = map_rings(size, size)
    assert rings[cells[0]] == -1
    assert (rings == -1).sum() == 1
    assert rings.max() == pytest.approx(side / np.sqrt(2), abs=1)
