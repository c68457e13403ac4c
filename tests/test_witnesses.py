"""Witnesses: the exact minimum of affine models against a convex solver, and foolbox's attacks."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from attack_cases import Linear, attacked, frozen, predict, random_images, small_net
from scipy.optimize import linprog, minimize

from bench.attacks.affine import tie
from bench.attacks.run import attack_batch
from bench.attacks.witnesses import ExactAffine, FoolboxMinimal
from bench.errors import BenchError

SIDE = 4


def affine(seed: int = 0, classes: int = 4) -> Linear:
    generator = torch.Generator().manual_seed(seed)
    weight = torch.randn(classes, SIDE**2, generator=generator)
    bias = 0.3 * torch.randn(classes, generator=generator) - weight.sum(1) / 2
    return frozen(Linear(weight, bias))


def problem(seed: int) -> tuple[np.ndarray, np.ndarray, float]:
    """An image with values at 0 and 1, a normal, and a gain that needs the box."""
    rng = np.random.default_rng(seed)
    x = np.clip(rng.normal(0.5, 0.6, 12), 0, 1)
    v = rng.normal(size=12)
    most = (np.abs(v) * np.where(v > 0, 1 - x, x)).sum()
    return x, v, 0.6 * most


@pytest.mark.parametrize("seed", range(6))
def test_l2_is_that_of_a_convex_solver(seed: int) -> None:
    x, v, missing = problem(seed)
    found = tie(x[None], v[None], np.array([missing]), "l2")[0]
    solved = minimize(
        lambda d: d @ d,
        np.zeros(12),
        jac=lambda d: 2 * d,
        bounds=list(zip(-x, 1 - x, strict=True)),
        constraints={"type": "eq", "fun": lambda d: v @ d - missing, "jac": lambda d: v},
        options={"ftol": 1e-14, "maxiter": 1000},
    )
    assert v @ found == pytest.approx(missing)
    assert np.linalg.norm(found) == pytest.approx(np.linalg.norm(solved.x), rel=1e-6)


@pytest.mark.parametrize("seed", range(6))
def test_linf_is_that_of_a_linear_program(seed: int) -> None:
    x, v, missing = problem(seed)
    found = tie(x[None], v[None], np.array([missing]), "linf")[0]
    eye = np.eye(12)
    solved = linprog(
        np.r_[np.zeros(12), 1],
        A_ub=np.block([[eye, -np.ones((12, 1))], [-eye, -np.ones((12, 1))]]),
        b_ub=np.zeros(24),
        A_eq=np.r_[v, 0][None],
        b_eq=[missing],
        bounds=[*zip(-x, 1 - x, strict=True), (0, None)],
    )
    assert v @ found == pytest.approx(missing)
    assert np.abs(found).max() == pytest.approx(solved.fun, rel=1e-7)


def test_what_no_image_gains_is_nan_and_nothing_missing_needs_nothing() -> None:
    x, v, missing = problem(0)
    assert np.isnan(tie(x[None], v[None], np.array([2 * missing]), "l2")).all()
    assert (tie(x[None], v[None], np.array([0.0]), "linf") == 0).all()


@pytest.mark.parametrize("norm", ["l2", "linf"])
def test_exact_attack_fools_and_nothing_nearer_does(norm: str) -> None:
    model, images = affine(), random_images(20, size=SIDE)
    labels = predict(model, images)
    outcome = attack_batch(model, ExactAffine(norm=norm, version=1), images, labels)
    assert (outcome.adv_pred != labels).all()
    delta = outcome.adversarial - images
    nearer = predict(model, images + 0.999 * delta)
    assert (nearer == labels).all()
    rng = np.random.default_rng(0)
    size = delta.flatten(1).abs().amax(1) if norm == "linf" else delta.flatten(1).norm(dim=1)
    for _ in range(200):  # no random direction of that size does better
        way = torch.from_numpy(rng.normal(size=(20, SIDE**2))).float()
        way = way.sign() if norm == "linf" else way / way.norm(dim=1, keepdim=True)
        other = (images + 0.99 * size[:, None, None, None] * way.view_as(images)).clamp(0, 1)
        assert (predict(model, other) == labels).all()


def test_a_model_that_is_not_affine_is_refused() -> None:
    net, images = small_net(), random_images(3)
    with pytest.raises(BenchError, match="expected an affine model"):
        attacked(ExactAffine(norm="l2", version=1), net, images, predict(net, images))


@pytest.mark.parametrize(("algorithm", "norm"), [("foolbox-ddn", "l2"), ("foolbox-fmn", "linf")])
def test_foolboxs_attacks_come_near_the_exact_minimum(algorithm: str, norm: str) -> None:
    model, images = affine(), random_images(10, size=SIDE)
    labels = predict(model, images)
    settings = FoolboxMinimal(algorithm=algorithm, norm=norm, steps=300, version=1)
    sizes = []
    for attack in (settings, ExactAffine(norm=norm, version=1)):
        outcome = attack_batch(model, attack, images, labels)
        assert (outcome.adv_pred != labels).all()
        delta = (outcome.adversarial - images).flatten(1)
        sizes.append(delta.abs().amax(1) if norm == "linf" else delta.norm(dim=1))
    assert (sizes[0] >= sizes[1] * (1 - 1e-4)).all()
    assert (sizes[0] / sizes[1]).median() < 1.1


def test_norms_that_nobody_implements_are_refused() -> None:
    with pytest.raises(ValueError, match="expected one of foolbox-ddn l2"):
        FoolboxMinimal(algorithm="foolbox-ddn", norm="linf", steps=10, version=1)
    with pytest.raises(ValueError, match='needs norm "linf" or "l2"'):
        ExactAffine(norm="l1", version=1)
