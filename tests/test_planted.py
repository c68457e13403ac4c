"""Planted images and their optimum, against dense covariances, scipy and the exact attack."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.optimize
import torch

from bench.attacks.affine import exact
from bench.entries.factors import PLANTED_CLASSES
from bench.errors import BenchError
from bench.models.collapse import AffineNet
from bench.spectrum import spectral_metrics
from bench.studies.optimum import Linear, best, minima, rfc
from bench.studies.planted import HALF_WIDTH, NORM, SPREAD, Planted

SIZES = [(28, 1), (32, 3), (9, 1)]


def dense_covariance(data: Planted) -> np.ndarray:
    """The covariance of one channel, entry by entry: a cosine sum over the noise's power."""
    side = data.size
    k = np.fft.fftfreq(side) * side
    radius = 2 * np.hypot(*np.meshgrid(k, k, indexing="ij")) / side
    radius[0, 0] = 2 / side
    power = radius**-data.slope
    power *= SPREAD[data.boxed] ** 2 / power.mean()
    at = np.arange(side)
    wave = np.exp(2j * np.pi * np.outer(at, at) / side) / np.sqrt(side)
    basis = np.kron(wave, wave)
    return (basis @ np.diag(power.ravel()) @ basis.conj().T).real


@pytest.mark.parametrize(("size", "channels"), SIZES)
def test_templates_lie_in_their_band_and_have_their_norm(size: int, channels: int) -> None:
    data = Planted(size=size, channels=channels, band=0.6)
    assert data.templates.shape == (PLANTED_CLASSES, channels, size, size)
    k = np.fft.fftfreq(size)
    radius = 2 * np.hypot(k[:, None], k[None, :])
    power = np.abs(np.fft.fft2(data.templates)) ** 2
    outside = np.abs(radius - 0.6) > HALF_WIDTH + 1e-9
    assert power[:, :, outside].sum() < 1e-20 * power.sum()
    if size == 9:
        covariance = dense_covariance(data)
        m = data.templates.reshape(PLANTED_CLASSES, -1)
        norms = np.sqrt(np.einsum("kd,kd->k", m, np.linalg.solve(covariance, m.T).T))
        np.testing.assert_allclose(norms, NORM, rtol=1e-9)


def test_the_optimum_is_the_textbooks_discriminant() -> None:
    data = Planted(size=9, band=0.5, slope=1.5, seed=3)
    net = best(data)
    means = 0.5 + data.templates.reshape(PLANTED_CLASSES, -1)
    weights = np.linalg.solve(dense_covariance(data), (means - 0.5).T).T
    np.testing.assert_allclose(net.weights, weights, atol=1e-9 * np.abs(weights).max())
    # log densities of Gaussians, up to what all classes share
    x = np.random.default_rng(0).random((5, 81))
    inverse = np.linalg.inv(dense_covariance(data))
    distances = [np.einsum("nd,de,ne->n", x - m, inverse, x - m) for m in means]
    expected = -0.5 * np.stack(distances, axis=1)
    found = x @ net.weights.T + net.bias
    shift = found - expected
    np.testing.assert_allclose(shift, shift[:, :1] * np.ones(PLANTED_CLASSES), rtol=1e-9)


def test_images_follow_the_law() -> None:
    data = Planted(size=8, band=0.9, slope=1.0)
    images, labels = data.split("train", 4000)
    assert images.dtype == np.float32
    assert 0 <= images.min() <= images.max() <= 1
    noise = images.astype(float)[:, 0] - 0.5 - data.templates[labels][:, 0]
    power = (np.abs(np.fft.fft2(noise, norm="ortho")) ** 2).mean(axis=0).ravel()
    # a frequency's power is exponential: a relative error of 1 / sqrt(4000), 64 of them
    np.testing.assert_allclose(power, data.power, rtol=5 / np.sqrt(4000) * 1.5)
    assert np.isclose(noise.std(), SPREAD[False], rtol=0.02)
    assert (np.bincount(labels, minlength=PLANTED_CLASSES) > 900).all()
    clipped = ((images == 0) | (images == 1)).mean()
    assert clipped < 3e-4
    boxed = Planted(size=8, band=0.9, slope=1.0, boxed=True).split("test", 500)[0]
    assert 0.03 < ((boxed == 0) | (boxed == 1)).mean() < 0.06


def test_the_best_accuracy_is_the_laws() -> None:
    data = Planted(size=16, band=0.5)
    images, labels = data.split("test", 4000)
    net = best(data)
    found = (images.reshape(4000, -1) @ net.weights.T + net.bias).argmax(axis=1) == labels
    # of the whitened law, by drawing in the few dimensions that matter
    z = data.whitened.reshape(PLANTED_CLASSES, -1)
    rng = np.random.default_rng(1)
    gram = z @ z.T
    drawn = rng.multivariate_normal(np.zeros(PLANTED_CLASSES), gram, 40000)
    classes = rng.integers(0, PLANTED_CLASSES, 40000)
    scores = drawn + gram[classes] - np.diag(gram) / 2
    assert found.mean() == pytest.approx((scores.argmax(1) == classes).mean(), abs=0.025)


def test_images_depend_on_the_seed_and_more_of_them_begin_alike() -> None:
    data = Planted(size=8, band=0.5, seed=5)
    few, some = data.split("train", 30), data.split("train", 1030)
    assert (few[0] == some[0][:30]).all()
    assert (few[1] == some[1][:30]).all()
    assert not (few[0] == data.split("test", 30)[0]).any()
    other = Planted(size=8, band=0.5, seed=6)
    assert not (few[0] == other.split("train", 30)[0]).all()
    assert data.fingerprint("train", 30) != other.fingerprint("train", 30)
    assert data.fingerprint("train", 30) != data.fingerprint("test", 30)


def test_a_band_without_frequencies_is_an_error() -> None:
    with pytest.raises(BenchError, match="band with frequencies"):
        _ = Planted(size=28, band=1.56).whitened


@pytest.mark.parametrize("boxed", [False, True])
def test_minima_are_those_of_the_exact_attack(boxed: bool) -> None:
    data = Planted(size=12, channels=3, band=0.7, boxed=boxed, seed=2)
    net, (images, _) = best(data), data.split("test", 40)
    own = (images.reshape(40, -1) @ net.weights.T + net.bias).argmax(axis=1)
    module = AffineNet(torch.from_numpy(net.weights), torch.from_numpy(net.bias))
    x = torch.from_numpy(images).double()
    outside = (exact(module, x, torch.from_numpy(own), "l2") - x).flatten(1).numpy()
    found = minima(net, images, box=True)
    size = np.linalg.norm(found, axis=1)
    np.testing.assert_allclose(size, np.linalg.norm(outside, axis=1), rtol=1e-6)
    np.testing.assert_allclose(found, outside, atol=1e-6)
    metrics = spectral_metrics(torch.from_numpy(found).view(40, *data.shape))
    np.testing.assert_allclose(rfc(found, data.shape), metrics["rfc"], rtol=1e-12)
    free = minima(net, images, box=False)
    assert (np.linalg.norm(free, axis=1) <= size + 1e-12).all()
    bound = ((images.reshape(40, -1) + free < 0) | (images.reshape(40, -1) + free > 1)).any()
    assert bound == boxed


def test_minima_in_the_box_are_those_of_a_solver() -> None:
    rng = np.random.default_rng(4)
    net = Linear(rng.normal(size=(3, 6)), rng.normal(size=3) / 10)
    images = rng.random((6, 6))
    found = minima(net, images, box=True)
    for x, delta in zip(images, found, strict=True):
        logits = net.weights @ x + net.bias
        own = logits.argmax()
        sizes = []
        for j in {0, 1, 2} - {own}:
            v, b = net.weights[j] - net.weights[own], net.bias[j] - net.bias[own]
            solved = scipy.optimize.minimize(
                lambda z, x=x: ((z - x) ** 2).sum(),
                x,
                jac=lambda z, x=x: 2 * (z - x),
                bounds=[(0, 1)] * 6,
                constraints={
                    "type": "eq",
                    "fun": lambda z, v=v, b=b: v @ z + b,
                    "jac": lambda z, v=v: v,
                },
                method="SLSQP",
                options={"ftol": 1e-14, "maxiter": 500},
            )
            if solved.success and abs(v @ solved.x + b) < 1e-8:
                sizes.append(np.sqrt(solved.fun))
        assert np.linalg.norm(delta) == pytest.approx(min(sizes), rel=1e-5)


def test_what_cannot_be_reached_is_nan() -> None:
    net = Linear(np.array([[1.0, 0.0], [0.0, 0.0]]), np.array([5.0, 0.0]))
    assert np.isnan(minima(net, np.array([[0.5, 0.5]]), box=True)).all()
    np.testing.assert_allclose(minima(net, np.array([[0.5, 0.5]]), box=False), [[-5.5, 0.0]])


def test_without_the_box_the_spectrum_is_known() -> None:
    data = Planted(band=1.0, seed=1)
    net = best(data)
    images, _ = data.split("test", 50)
    deltas = minima(net, images, box=False)
    # every perturbation is along a difference of two whitened templates over the noise's spread
    k = np.fft.fftfreq(28)
    radius = 2 * np.hypot(k[:, None], k[None, :])
    possible = []
    for a in range(PLANTED_CLASSES):
        for b in range(a):
            z = np.fft.fft2(data.whitened[a, 0] - data.whitened[b, 0])
            p = np.abs(z) ** 2 / data.power.reshape(28, 28)
            possible.append((p * radius).sum() / p.sum())
    found = rfc(deltas, data.shape)
    assert (np.abs(found[:, None] - possible).min(axis=1) < 1e-12).all()
    assert (np.abs(found - 1.0) < HALF_WIDTH).all()
