"""The batched Brendel-Bethge attack against closed forms and against itself."""

import pytest
import torch
from attack_cases import (
    Linear,
    attacked,
    brendel_bethge,
    frozen,
    other_class_starts,
    predict,
    random_images,
    small_net,
)
from torch import Tensor, nn

from bench.attacks.base import logit_margin
from bench.attacks.run import attack_batch

NORMS = ["l2", "linf"]


def size(delta: Tensor, norm: str) -> Tensor:
    order = {"l2": 2, "linf": torch.inf}[norm]
    return torch.linalg.vector_norm(delta.flatten(1).double(), order, dim=1)


def oracle(model: Linear, images: Tensor, labels: Tensor, norm: str) -> Tensor:
    """Return the distance to each class's boundary within [0, 1], (B, classes) float64.

    KKT: the nearest point is clip(x + t v, 0, 1) with v = w_j - w_y for L2 and v = sign(w_j - w_y)
    for Linf, and t such that the margin to j is 0 (bisection; infinite where none is).
    """
    x = images.flatten(1).double()
    weight, bias = model.weight.double(), model.bias.double()
    result = torch.full((len(x), len(bias)), torch.inf, dtype=torch.float64)
    for row, (image, label) in enumerate(zip(x, labels.tolist(), strict=True)):
        for other in set(range(len(bias))) - {label}:
            normal = weight[other] - weight[label]
            offset = bias[other] - bias[label]
            direction = normal if norm == "l2" else normal.sign()
            low, high = 0.0, 1e6

            def margin(t: float) -> float:
                return float(normal @ (image + t * direction).clamp(0, 1) + offset)  # noqa: B023

            if margin(high) < 0:
                continue
            for _ in range(200):
                middle = (low + high) / 2
                low, high = (middle, high) if margin(middle) < 0 else (low, middle)
            delta = (image + high * direction).clamp(0, 1) - image
            result[row, other] = size(delta[None], norm)[0]
    return result


def unboxed(model: Linear, images: Tensor, labels: Tensor, norm: str) -> Tensor:
    """Return the distance (B,) to the nearest boundary if pixels had no limits."""
    logits = model(images).double()
    normals = model.weight.double() - model.weight.double()[labels][:, None]
    margins = logits.gather(1, labels[:, None]) - logits
    dual = normals.norm(dim=2) if norm == "l2" else normals.abs().sum(2)
    ratios = margins / dual
    return ratios.scatter(1, labels[:, None], torch.inf).amin(1)


def linear(classes: int, dims: int, seed: int, bias: float = 0.3) -> Linear:
    generator = torch.Generator().manual_seed(seed)
    weight = torch.randn(classes, dims, generator=generator)
    return Linear(weight, bias * torch.randn(classes, generator=generator)).eval()


@pytest.mark.parametrize("norm", NORMS)
def test_binary_linear_model_is_solved_exactly(norm: str) -> None:
    """Without clipping: margin / norm of w, in the dual norm, and delta parallel to w for L2."""
    w = torch.randn(64, generator=torch.Generator().manual_seed(0))
    middle = -0.5 * w.sum() - 0.4
    model = Linear(torch.stack([torch.zeros(64), w]), torch.tensor([0.0, float(middle)])).eval()
    # margin 0.4 +- .. around the centre of the cube, far from its faces
    images = 0.5 + 0.05 * (random_images(10) - 0.5)
    labels = predict(model, images)
    assert (labels == 0).all()
    starts = (images + 0.4 * w.sign().view(1, 1, 8, 8)).clamp(0, 1)
    outcome = attack_batch(model, brendel_bethge(norm, steps=50), images, labels, starts)
    delta = (outcome.adversarial - images).flatten(1).double()
    with torch.no_grad():
        margin = -logit_margin(model(images), labels).double()
    dual = {"l2": w.double().norm(), "linf": w.double().abs().sum()}[norm]
    torch.testing.assert_close(size(delta, norm), margin / dual, rtol=2e-3, atol=0)
    assert (outcome.adv_pred == 1).all()
    if norm == "l2":
        cosine = nn.functional.cosine_similarity(delta, w.double()[None])
        assert (cosine > 0.9999).all()


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("classes", [4, 10])
def test_linear_models_reach_the_boxed_minimum(norm: str, classes: int) -> None:
    """Large perturbations, so that [0, 1] binds for many pixels: science.md's KKT minimum."""
    model = linear(classes, 64, seed=classes, bias=4.0)
    # images like MNIST's: most pixels at the ends of the range
    images = ((random_images(40, seed=3) - 0.5) * 3 + 0.5).clamp(0, 1)
    labels = predict(model, images)
    distances = oracle(model, images, labels, norm)
    # not the images at the boundary: they end by the margin that settling asks for
    far = distances.amin(1) > 0.01
    images, labels, distances = images[far], labels[far], distances[far]
    starts = other_class_starts(model, images)
    outcome = attack_batch(model, brendel_bethge(norm, steps=200), images, labels, starts)
    assert not outcome.init_failed.any()
    found = size(outcome.adversarial - images, norm)
    assert (distances.amin(1) > 1.05 * unboxed(model, images, labels, norm)).float().mean() > 0.8
    ended_in = distances.gather(1, outcome.adv_pred[:, None])[:, 0]
    assert (found <= 1.005 * ended_in).all()
    minimum = distances.amin(1)
    assert (found >= minimum * (1 - 1e-4)).all(), "nothing is nearer than the minimum"
    assert (found <= 1.005 * minimum).float().mean() >= 0.75


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("classes", [4, 10])
def test_nearest_starts_find_the_global_minimum(norm: str, classes: int) -> None:
    """science.md's minimum over all classes, which one start misses for some samples."""
    model = linear(classes, 64, seed=classes, bias=4.0)
    images = ((random_images(60, seed=5) - 0.5) * 3 + 0.5).clamp(0, 1)
    labels = predict(model, images)
    minimum = oracle(model, images, labels, norm).amin(1)
    far = minimum > 0.01
    images, labels, minimum = images[far], labels[far], minimum[far]
    starts = other_class_starts(model, images)
    share = {}
    for count in (0, 2):
        spec = brendel_bethge(norm, steps=200).model_copy(update={"nearest_starts": count})
        outcome = attack_batch(model, spec, images, labels, starts)
        found = size(outcome.adversarial - images, norm)
        assert (found >= minimum * (1 - 1e-4)).all(), "nothing is nearer than the minimum"
        share[count] = float((found <= 1.005 * minimum).float().mean())
    assert share[2] == 1
    assert share[0] < 1, "else this test shows nothing"


def test_no_nearest_start_leaves_the_drawn_one() -> None:
    """A model that is constant around the images: its slope leads nowhere."""

    class Step(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            bright = images.flatten(1).mean(1)
            return torch.stack([0 * bright, (bright - 0.6).relu() - 0.1], 1)

    images, starts = torch.full((2, 1, 4, 4), 0.2), torch.full((2, 1, 4, 4), 0.9)
    spec = brendel_bethge("l2", steps=30)
    expected = attack_batch(frozen(Step()), spec, images, torch.zeros(2).long(), starts)
    spec = spec.model_copy(update={"nearest_starts": 1})
    found = attack_batch(frozen(Step()), spec, images, torch.zeros(2).long(), starts)
    torch.testing.assert_close(found.adversarial, expected.adversarial)


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("batch", [1, 5])
def test_results_do_not_depend_on_the_batch(norm: str, batch: int) -> None:
    net, images = small_net(), random_images(15)
    labels, starts = predict(net, images), other_class_starts(net, images)
    spec = brendel_bethge(norm, steps=150)
    together = attack_batch(net, spec, images, labels, starts)
    parts = [
        attack_batch(net, spec, *(v[k : k + batch] for v in (images, labels, starts)))
        for k in range(0, 15, batch)
    ]
    apart = torch.cat([part.adversarial for part in parts])
    ratio = size(apart - images, norm) / size(together.adversarial - images, norm)
    assert ((ratio - 1).abs() < 1e-3).all()
    assert torch.equal(
        torch.cat([part.adv_pred for part in parts]) != labels, together.adv_pred != labels
    )


@pytest.mark.parametrize("norm", NORMS)
def test_the_same_batch_gives_the_same_bits(norm: str) -> None:
    net, images = small_net(), random_images(8)
    labels, starts = predict(net, images), other_class_starts(net, images)
    first, second = (
        attacked(brendel_bethge(norm, steps=60), net, images, labels, starts) for _ in range(2)
    )
    assert torch.equal(first, second)


@pytest.mark.parametrize("norm", NORMS)
def test_better_than_the_straight_line(norm: str) -> None:
    """Never worse than the point where the line to the start crosses the boundary."""
    net, images = small_net(seed=4, gain=2.0), random_images(20, seed=9)
    labels, starts = predict(net, images), other_class_starts(net, images)
    outcome = attack_batch(net, brendel_bethge(norm, steps=200), images, labels, starts)
    assert (outcome.adv_pred != labels).all()
    low, high = torch.zeros(20), torch.ones(20)
    for _ in range(30):
        middle = (low + high) / 2
        fooled = predict(net, torch.lerp(images, starts, middle[:, None, None, None])) != labels
        low, high = torch.where(fooled, low, middle), torch.where(fooled, middle, high)
    line = size(torch.lerp(images, starts, high[:, None, None, None]) - images, norm)
    found = size(outcome.adversarial - images, norm)
    assert (found <= line * 1.001).all()
    assert (found / line).median() < 0.6


class Dead(nn.Module):
    """No gradient anywhere: two classes by a threshold on the mean."""

    def forward(self, images: Tensor) -> Tensor:
        bright = (images.flatten(1).mean(1) > 0.5).float()
        return torch.stack([1 - bright, bright], 1) + 0 * images.flatten(1).sum(1, keepdim=True)


@pytest.mark.parametrize("norm", NORMS)
def test_a_model_without_gradient_ends_where_the_bisection_ends(norm: str) -> None:
    images, starts = torch.full((2, 1, 4, 4), 0.2), torch.full((2, 1, 4, 4), 0.9)
    outcome = attack_batch(
        Dead().eval(), brendel_bethge(norm, steps=30), images, torch.zeros(2).long(), starts
    )
    assert (outcome.adv_pred == 1).all()
    assert outcome.adversarial.isfinite().all()
    assert (outcome.adversarial.flatten(1).mean(1) < 0.502).all()


def test_nan_gradients_cost_one_sample() -> None:
    net, images = small_net(), random_images(6)
    labels, starts = predict(net, images), other_class_starts(net, images)

    class Broken(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            logits: Tensor = net(x)
            first = (x[:, 0, 0, :1] == images[2, 0, 0, 0]).float()
            return logits + (first - 1).sqrt().nan_to_num() * 0  # 0 * inf in the backward pass

    spec = brendel_bethge("l2", steps=30)
    expected = attack_batch(net, spec, images, labels, starts)
    found = attack_batch(Broken().eval(), spec, images, labels, starts)
    assert found.adversarial.isfinite().all()
    others = torch.arange(6) != 2
    assert (found.adv_pred[others] != labels[others]).all()
    assert expected.adv_pred.shape == found.adv_pred.shape
