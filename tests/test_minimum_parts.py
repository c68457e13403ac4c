"""The pieces of the search against scipy's solvers."""

import numpy as np
import pytest
import torch
from attack_cases import predict, random_images, small_net
from scipy.optimize import minimize, nnls

from bench.attacks.minimum.candidates import candidates
from bench.attacks.minimum.cuts import Cuts
from bench.attacks.minimum.multipliers import nonnegative_minimum
from bench.attacks.minimum.options import Options
from bench.attacks.minimum.plane import to_plane
from bench.attacks.minimum.project_l2 import project_l2
from bench.steps.step import GradientStep


def problem(pairs: int, dims: int, places: int, seed: int = 0) -> tuple[torch.Tensor, Cuts]:
    """Return images (P, D) with many pixels at 0 and cuts that a third of the box reaches."""
    generator = torch.Generator().manual_seed(seed)
    x0 = (torch.rand(pairs, dims, generator=generator) * 2 - 0.8).clamp(0, 1)
    normals = torch.randn(pairs, places, dims, generator=generator)
    normals += 0.7 * normals[:, :1]  # not orthogonal
    normals /= normals.norm(dim=2, keepdim=True)
    room = torch.where(normals > 0, 1 - x0[:, None], x0[:, None])
    offsets = (normals.abs() * room).sum(2) * (
        0.15 + 0.1 * torch.rand(pairs, places, generator=generator)
    )
    cuts = Cuts.first(normals[:, 0], offsets[:, 0], places)
    for k in range(1, places):
        cuts.add(normals[:, k], offsets[:, k], k)
    return x0, cuts


@pytest.mark.parametrize("count", [1, 2, 3, 4])
def test_multipliers_against_nonnegative_least_squares(count: int) -> None:
    """min |A m - b|^2 over m >= 0 is the same problem with H = A'A, q = A'b."""
    rng = np.random.default_rng(count)
    a, b = rng.normal(size=(50, 7, count)), rng.normal(size=(50, 7))
    h = torch.from_numpy(np.einsum("pik,pil->pkl", a, a))
    q = torch.from_numpy(np.einsum("pik,pi->pk", a, b))
    found = nonnegative_minimum(h, q, torch.ones(50, count, dtype=torch.bool)).numpy()
    for p in range(50):
        np.testing.assert_allclose(found[p], nnls(a[p], b[p])[0], atol=1e-7)


def test_places_that_are_not_used_have_no_multiplier() -> None:
    used = torch.tensor([[True, False, True]])
    h = torch.eye(3)[None]
    found = nonnegative_minimum(h, torch.tensor([[1.0, 2.0, 3.0]]), used)
    torch.testing.assert_close(found, torch.tensor([[1.0, 0.0, 3.0]], dtype=torch.float64))


@pytest.mark.parametrize("places", [1, 2, 3])
def test_l2_projection_against_slsqp(places: int) -> None:
    x0, cuts = problem(6, 20, places)
    delta = project_l2(cuts, -x0, 1 - x0, rounds=12).double().numpy()
    for p in range(6):
        a, b = cuts.normals[p].double().numpy(), cuts.offsets[p].double().numpy()
        low, high = -x0[p].double().numpy(), 1 - x0[p].double().numpy()
        expected = minimize(
            lambda d: d @ d, np.zeros(20), jac=lambda d: 2 * d,
            bounds=list(zip(low, high, strict=True)),
            constraints={"type": "ineq", "fun": lambda d, a=a, b=b: a @ d - b},
            options={"ftol": 1e-9, "maxiter": 500},
        )  # fmt: skip
        assert expected.success
        assert (a @ delta[p] >= b - 1e-5).all()
        assert np.linalg.norm(delta[p]) == pytest.approx(np.linalg.norm(expected.x), rel=1e-4)


@pytest.mark.parametrize("norm", ["l2", "linf"])
def test_a_plane_out_of_the_box_is_infinitely_far(norm: str) -> None:
    x0 = torch.full((1, 4), 0.5)
    normal = torch.full((1, 4), 0.5)
    _, distance = to_plane(x0, normal, torch.tensor([1.1]), norm)
    assert distance.isinf().all()
    delta, distance = to_plane(x0, normal, torch.tensor([0.5]), norm)
    torch.testing.assert_close(delta, torch.full((1, 4), 0.25))
    assert distance.item() == pytest.approx({"l2": 0.5, "linf": 0.25}[norm])


def test_many_classes_are_looked_at_in_blocks() -> None:
    """Blocks of 5 of 60 classes give the same nearest class, and take fewer gradients."""
    net, images = small_net(classes=60), random_images(12)
    labels, aim = predict(net, images), torch.zeros(12)
    step = GradientStep(net)
    every = candidates(step, images, labels, aim, "l2", Options(classes=59, most_classes=59))
    some = candidates(step, images, labels, aim, "l2", Options(classes=5, most_classes=40))
    assert torch.equal(every.classes[:, 0], some.classes[:, 0])
    torch.testing.assert_close(every.distances[:, 0], some.distances[:, 0])
    assert (some.gradients <= 40).all()
    assert some.gradients.double().mean() < 0.75 * 59


def test_the_jacobian_is_that_of_single_steps() -> None:
    net, images = small_net(), random_images(7)
    labels = predict(net, images)
    targets = torch.stack([(labels + k) % 10 for k in (1, 4, 7)], 1)
    for step in (GradientStep(net), GradientStep(net, micro_batch=3, equal_passes=True)):
        logits, gradients = step.jacobian(images, labels, targets)
        torch.testing.assert_close(logits, net(images))
        for b in range(7):
            leaf = images[b : b + 1].clone().requires_grad_()
            values = net(leaf)[0]
            for t in range(3):
                difference = values[targets[b, t]] - values[labels[b]]
                (expected,) = torch.autograd.grad(difference, leaf, retain_graph=True)
                torch.testing.assert_close(gradients[b, t], expected[0], rtol=1e-4, atol=1e-6)
