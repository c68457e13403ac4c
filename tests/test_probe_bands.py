"""`bench probe bands`: masks, the search within a band, the box, directions."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import nnls
from torch import Tensor, nn

from bench.attacks.minimum.cuts import Cuts
from bench.attacks.minimum.minimise import minimise
from bench.attacks.minimum.options import Options
from bench.attacks.minimum.room import FREE, IMAGES
from bench.grid import BANDS, band_numbers
from bench.probes.bands.box import BandBox
from bench.probes.bands.steps import BandStep, leak
from bench.probes.rays import along
from bench.spectrum import passed
from bench.steps.step import GradientStep


def mask_of(height: int, width: int, band: int) -> Tensor:
    return torch.from_numpy(band_numbers(height, width) == band).view(height, width).double()


def plain_band(height: int, width: int, band: int) -> np.ndarray:
    """A band's mask by the definition, one frequency at a time."""
    mask = np.zeros((height, width))
    for i in range(height):
        for j in range(width):
            ky = i if i <= height // 2 else i - height
            kx = j if j <= width // 2 else j - width
            r = 2 * np.hypot(kx / width, ky / height)
            number = 0 if r == 0 else min(8, int(np.floor(r / (np.sqrt(2) / 8) + 1e-12)) + 1)
            mask[i, j] = number == band
    return mask


@pytest.mark.parametrize(("height", "width"), [(28, 28), (32, 32), (27, 27), (16, 21), (8, 5)])
def test_bands_part_the_plane_and_are_hermitian(height: int, width: int) -> None:
    numbers = band_numbers(height, width).reshape(height, width)
    assert numbers[0, 0] == 0
    assert (numbers == 0).sum() == 1
    assert numbers.max() <= BANDS
    for band in range(BANDS + 1):
        mask = (numbers == band).astype(float)
        np.testing.assert_array_equal(mask, plain_band(height, width, band))
        mirrored = np.roll(mask[::-1, ::-1], (1, 1), axis=(0, 1))
        np.testing.assert_array_equal(mask, mirrored)


@settings(max_examples=30, deadline=None)
@given(st.integers(3, 13), st.integers(3, 13), st.integers(0, 2**31 - 1))
def test_bands_add_up_and_are_orthogonal_projections(height: int, width: int, seed: int) -> None:
    x = torch.randn(2, height, width, generator=torch.Generator().manual_seed(seed)).double()
    parts = [passed(x, mask_of(height, width, band)) for band in range(BANDS + 1)]
    torch.testing.assert_close(sum(parts), x)
    energy = sum(part.square().sum() for part in parts)
    torch.testing.assert_close(energy, x.square().sum())
    for band, part in enumerate(parts):
        expected = np.fft.ifft2(np.fft.fft2(x.numpy()) * mask_of(height, width, band).numpy())
        np.testing.assert_allclose(part.numpy(), expected.real, atol=1e-12)
        assert np.abs(expected.imag).max() < 1e-12
        again = passed(part, mask_of(height, width, band))
        torch.testing.assert_close(again, part)


class Affine(nn.Module):
    """Logits W x + b."""

    def __init__(self, side: int, channels: int, classes: int, seed: int) -> None:
        super().__init__()
        draw = torch.Generator().manual_seed(seed)
        count = channels * side * side
        self.weight = nn.Parameter(torch.randn(classes, count, generator=draw), False)
        self.bias = nn.Parameter(0.1 * torch.randn(classes, generator=draw), False)

    def forward(self, images: Tensor) -> Tensor:
        return images.flatten(1) @ self.weight.to(images).T + self.bias.to(images)


def closed_form(model: Affine, x: Tensor, y: Tensor, mask: Tensor) -> Tensor:
    """Margin over the norm of the projected difference of weights, the least over classes."""
    found = []
    w = model.weight.double()
    for image, label in zip(x.double(), y.tolist(), strict=True):
        logits = w @ image.flatten() + model.bias.double()
        ways = []
        for other in range(len(w)):
            if other != label:
                spectrum = np.fft.fft2(
                    (w[other] - w[label]).view(image.shape).numpy(), norm="ortho"
                )
                norm = np.sqrt((np.abs(spectrum * mask.numpy()) ** 2).sum())
                ways.append(float(logits[label] - logits[other]) / norm)
        found.append(min(ways))
    return torch.tensor(found, dtype=torch.float64)


@pytest.mark.parametrize(("side", "channels"), [(12, 1), (13, 3)])
@pytest.mark.parametrize("band", range(BANDS + 1))
def test_an_affine_models_distance_has_its_closed_form(side: int, channels: int, band: int) -> None:
    model = Affine(side, channels, 5, seed=3)
    x = torch.rand(6, channels, side, side, generator=torch.Generator().manual_seed(4))
    y = model(x).argmax(1)
    mask = mask_of(side, side, band)
    assert mask.any()
    step = BandStep(GradientStep(model), mask.float())
    found = minimise(step, x, y, "l2", options=Options(walk_steps=0), room=FREE)
    delta = (found.adversarial - x).double()
    distance = delta.flatten(1).norm(dim=1)
    exact = closed_form(model, x, y, mask)
    # settling off the boundary adds at most 1e-3, aiming beyond it some 1e-5
    assert bool((distance >= exact * (1 - 1e-4)).all())
    torch.testing.assert_close(distance, exact, rtol=2e-3, atol=0)
    assert bool((model(found.adversarial).argmax(1) != y).all())
    assert float(leak(delta, mask).max()) < 1e-6
    assert set(found.reason) == {"exact"}


def least(g: np.ndarray, h: np.ndarray) -> np.ndarray | None:
    """The shortest c with g c >= h, None if there is none: Lawson and Hanson's LDP over NNLS."""
    e = np.vstack([g.T, h])
    f = np.r_[np.zeros(g.shape[1]), 1.0]
    u, gap = nnls(e, f, maxiter=20_000)
    if gap < 1e-7:
        return None
    r = e @ u - f
    return -r[:-1] / r[-1]


def boxed(x: np.ndarray, v: np.ndarray, missing: np.ndarray, basis: np.ndarray) -> np.ndarray:
    """The nearest delta in a band with v delta >= missing and x + delta in [0, 1]; else NaN."""
    g = np.vstack([v @ basis, basis, -basis])
    c = least(g, np.r_[missing, -x, x - 1])
    return np.full(len(x), np.nan) if c is None else basis @ c


def basis_of(mask: Tensor) -> np.ndarray:
    """An orthonormal real basis (D, d) of a band."""
    height, width = mask.shape
    eye = torch.eye(height * width, dtype=torch.float64).view(-1, height, width)
    values, vectors = np.linalg.eigh(passed(eye, mask).reshape(height * width, -1).numpy())
    return np.asarray(vectors[:, values > 0.5])


@pytest.mark.parametrize("band", [2, 4, 6])
@pytest.mark.parametrize("scale", [0.1, 0.6, 1.2, 2.0])
def test_the_nearest_in_band_and_box_is_that_of_a_convex_solver(band: int, scale: float) -> None:
    side, pairs = 9, 5
    mask = mask_of(side, side, band)
    draw = torch.Generator().manual_seed(band)
    x = torch.rand(pairs, side * side, generator=draw).double() * 0.6 + 0.2
    basis = basis_of(mask)
    normals = torch.randn(pairs, basis.shape[1], generator=draw).double() @ torch.from_numpy(
        basis.T.copy()
    )
    normals = normals / normals.norm(dim=1, keepdim=True)
    offsets = torch.full((pairs,), scale, dtype=torch.float64)
    delta, distance = BandBox(mask=mask).plane(x, normals, offsets, "l2")
    expected = np.array(
        [boxed(a.numpy(), b.numpy()[None], np.array([scale]), basis)
         for a, b in zip(x, normals, strict=True)]
    )  # fmt: skip
    reached = ~np.isnan(expected[:, 0])
    assert reached.all() or scale > 0.1
    assert not reached.all() or scale < 2
    np.testing.assert_array_equal(distance.isfinite().numpy(), reached)
    here = torch.from_numpy(reached)
    np.testing.assert_allclose(delta[here].numpy(), expected[reached], atol=2e-3 * scale)
    sizes = np.linalg.norm(expected[reached], axis=1)
    np.testing.assert_allclose(distance[here].numpy(), sizes, rtol=2e-3)
    moved = x[here] + delta[here]
    assert bool(((moved >= -1e-12) & (moved <= 1 + 1e-12)).all())
    assert not len(moved) or float(leak(delta[here].view(-1, 1, side, side), mask).max()) < 1e-6


def test_several_cuts_in_band_and_box_are_those_of_a_convex_solver() -> None:
    side, mask = 9, mask_of(9, 9, 3)
    draw, basis = torch.Generator().manual_seed(1), basis_of(mask)
    x = torch.full((1, side * side), 0.5, dtype=torch.float64)
    normals = torch.randn(3, basis.shape[1], generator=draw).double() @ torch.from_numpy(
        basis.T.copy()
    )
    normals = normals / normals.norm(dim=1, keepdim=True)
    offsets = torch.tensor([1.4, 1.0, -0.3], dtype=torch.float64)
    cuts = Cuts.first(normals[:1], offsets[:1], 4)
    for k in (1, 2):
        cuts.add(normals[k : k + 1], offsets[k : k + 1], k)
    delta = BandBox(mask=mask).nearest(cuts, x, 3, 1)[0].numpy()
    expected = boxed(x[0].numpy(), normals.numpy(), offsets.numpy(), basis)
    assert np.abs(expected).max() > 0.499, "the box should bind"
    np.testing.assert_allclose(delta, expected, atol=2e-3)


def test_an_affine_models_nearest_in_band_and_box_is_the_least_over_its_classes() -> None:
    """The probe's whole search inside the box, against a convex solver for every class."""
    side, mask = 9, mask_of(9, 9, 3)
    model, basis = Affine(side, 1, 4, seed=8), basis_of(mask)
    x = torch.rand(12, 1, side, side, generator=torch.Generator().manual_seed(9)) * 0.8 + 0.1
    with torch.no_grad():
        model.bias -= 0.5 * model(x).mean(0)  # boundaries are near, most of them
    y = model(x).argmax(1)
    step = BandStep(GradientStep(model), mask.float())
    options = Options(walk_steps=0, steps=6, second_starts=0)
    found = minimise(step, x, y, "l2", options=options, room=BandBox(mask=mask)).adversarial
    weight, moved, bound, reached = model.weight.double().numpy(), (found - x).double(), 0, 0
    logits = model(x.double()).numpy()
    for place, label in enumerate(y.tolist()):
        image = x[place].double().flatten().numpy()
        ways = []
        for other in set(range(4)) - {label}:
            missing = np.array([logits[place, label] - logits[place, other]])
            delta = boxed(image, (weight[other] - weight[label])[None], missing, basis)
            ways.append((np.linalg.norm(delta), np.minimum(image + delta, 1 - image - delta).min()))
        ways = [way for way in ways if not np.isnan(way[0])]
        fooled = int(model(found)[place].argmax()) != label
        assert fooled == bool(ways)
        if fooled:
            nearest, gap = min(ways)
            bound, reached = bound + (gap < 1e-6), reached + 1
            assert float(moved[place].norm()) == pytest.approx(nearest, rel=1e-2)
    assert reached >= 8
    assert 3 <= bound < reached, "the box should bind for some"
    assert float(leak(moved, mask).nan_to_num().max()) < 1e-5
    assert bool(((found >= 0) & (found <= 1)).all())


def test_where_half_an_image_is_black_no_band_has_a_place_in_the_box() -> None:
    x = torch.zeros(1, 64, dtype=torch.float64)
    x[0, 32:] = 0.5
    mask = mask_of(8, 8, 5)
    normal = torch.from_numpy(basis_of(mask)[:, :1].T.copy())
    _, distance = BandBox(mask=mask).plane(x, normal, torch.tensor([0.3]).double(), "l2")
    assert distance.tolist() == [torch.inf]
    free, size = FREE.plane(x, normal, torch.tensor([0.3]).double(), "l2")
    assert size.tolist() == [pytest.approx(0.3)]
    torch.testing.assert_close(free, 0.3 * normal)


def test_a_room_without_bounds_is_the_box_where_no_pixel_meets_it() -> None:
    model = Affine(6, 1, 4, seed=1)
    x = 0.5 + 0.01 * torch.randn(5, 1, 6, 6, generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        model.weight *= 100  # boundaries are near
        y = model(x).argmax(1)
    options = Options(walk_steps=0)
    one, two = (
        minimise(GradientStep(model), x, y, "l2", options=options, room=room).adversarial
        for room in (FREE, IMAGES)
    )
    torch.testing.assert_close(one, two, rtol=0, atol=2e-6)


def test_a_ray_meets_an_affine_boundary_where_it_is() -> None:
    model = Affine(5, 1, 3, seed=5)
    draw = torch.Generator().manual_seed(6)
    x = torch.rand(40, 1, 5, 5, generator=draw)
    y = model(x).argmax(1)
    u = torch.randn(40, 1, 5, 5, generator=draw)
    u = u / u.flatten(1).norm(dim=1)[:, None, None, None]
    logits, slopes = model(x), (u.flatten(1) @ model.weight.T)
    gap = logits.gather(1, y[:, None]) - logits
    rise = slopes - slopes.gather(1, y[:, None])
    exact = torch.where(rise > 1e-9, gap / rise, torch.inf)
    exact = exact.scatter(1, y[:, None], torch.inf).amin(1)
    start = 0.5 * exact.clamp(max=1e3)
    found = along(lambda z: model(z).argmax(1), x, y, u, start)
    reached = exact < 1e3
    assert bool((found[~reached] == torch.inf).all())
    torch.testing.assert_close(found[reached], exact[reached], rtol=6e-3, atol=0)
    assert bool((found >= exact * (1 - 1e-5)).all())
    nowhere = along(lambda z: model(z).argmax(1), x, y, u * torch.nan, start)
    assert bool(nowhere.isnan().all())
