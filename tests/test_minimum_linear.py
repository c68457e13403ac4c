"""Linear models: the exact minimum within [0, 1], in one projection for each class."""

import pytest
import torch
from attack_cases import Linear, frozen, predict, random_images
from minimum_cases import boxed_minima, distances, run
from torch import Tensor, nn

from bench.attacks.base import logit_margin
from bench.data.base import load_batch
from bench.data.load import load_images
from bench.entries import registry
from bench.models.load import load

NORMS = ["l2", "linf"]
FAMILIES = ["fully-connected", "full-conv", "locally-connected", "local-conv"]


def linear(classes: int, dims: int, seed: int = 0, bias: float = 0.3) -> Linear:
    generator = torch.Generator().manual_seed(seed)
    weight = torch.randn(classes, dims, generator=generator)
    return Linear(weight, bias * torch.randn(classes, generator=generator)).eval()


def affine(model: nn.Module, images: Tensor) -> tuple[Tensor, Tensor]:
    """Return weight (classes, D) and bias of a model that is affine, by float64 autograd."""
    exact = model.double()
    jacobian = torch.autograd.functional.jacobian(exact, images[:1].double())
    weight = jacobian[0, :, 0].flatten(1)  # type: ignore[index]
    bias = exact(images[:1].double())[0] - weight @ images[0].flatten().double()
    return weight, bias


@pytest.mark.parametrize("family", FAMILIES)
def test_carried_linear_nets_are_solved_exactly(family: str) -> None:
    entry, data = registry.model(f"fashionmnist-{family}"), registry.dataset("fashionmnist")
    found = load_images(data, "test", data="embedded", registry_dir=registry.registry_dir())
    images, labels = load_batch(found, range(120)), torch.from_numpy(found.labels)[:120]
    net = load(entry, "default", torch.device("cpu")).module
    right = predict(net, images) == labels
    images, labels = images[right], labels[right]
    results = {norm: run(net, images, labels, norm) for norm in NORMS}
    weight, bias = affine(net, images)
    for norm, result in results.items():
        ratio = distances(result, images, norm) / boxed_minima(images, weight, bias, labels, norm)
        assert ratio.max() <= 1.0015, (
            "settling grows by at most 1e-3; in the box a margin costs a little more"
        )
        assert ratio.min() >= 1 - 1e-5
        assert ratio.median() <= 1.0002
        assert set(result.status) == {"converged"}
        assert (result.gradients_per_image <= 12).all()


@pytest.mark.parametrize("norm", NORMS)
def test_binary_model_in_closed_form(norm: str) -> None:
    """Far from the box: margin / dual norm of w, and delta parallel to w for L2."""
    w = torch.randn(64, generator=torch.Generator().manual_seed(0))
    model = Linear(
        torch.stack([torch.zeros(64), w]), torch.tensor([0.0, float(-0.5 * w.sum() - 0.4)])
    )
    images = 0.5 + 0.05 * (random_images(10) - 0.5)
    labels = predict(model, images)
    assert (labels == 0).all()
    result = run(model, images, labels, norm)
    margin = -logit_margin(model(images), labels).double()
    dual = {"l2": w.double().norm(), "linf": w.double().abs().sum()}[norm]
    torch.testing.assert_close(distances(result, images, norm), margin / dual, rtol=1.1e-3, atol=0)
    if norm == "l2":
        delta = (result.adversarial - images).flatten(1).double()
        assert (nn.functional.cosine_similarity(delta, w.double()[None]) > 0.99999).all()


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize(("classes", "shape"), [(10, (1, 8)), (4, (3, 8)), (300, (3, 10))])
def test_the_box_binds_three_channels_many_classes(
    norm: str, classes: int, shape: tuple[int, int]
) -> None:
    channels, side = shape
    model = linear(classes, channels * side**2, seed=classes, bias=4.0)
    images = ((random_images(40, channels, side, seed=3) - 0.5) * 3 + 0.5).clamp(0, 1)
    labels = predict(model, images)
    result = run(model, images, labels, norm)
    minimum = boxed_minima(images, model.weight, model.bias, labels, norm)
    ratio = distances(result, images, norm) / minimum
    assert ratio.max() <= 1.0015
    assert ratio.min() >= 1 - 1e-4
    assert (predict(model, result.adversarial) != labels).all()
    at_box = (result.adversarial == 0) | (result.adversarial == 1)
    assert (at_box & (result.adversarial != images)).any()


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("factor", [1e19, 1e-19])
def test_the_scale_of_the_logits_moves_nothing(norm: str, factor: float) -> None:
    model = linear(5, 64)
    images = random_images(12)
    labels = predict(model, images)
    plain = distances(run(model, images, labels, norm), images, norm)
    scaled = run(Linear(model.weight * factor, model.bias * factor), images, labels, norm)
    torch.testing.assert_close(distances(scaled, images, norm), plain, rtol=1e-4, atol=0)
    assert set(scaled.status) == {"converged"}


class Offset(nn.Module):
    def __init__(self, model: nn.Module, offset: float) -> None:
        super().__init__()
        self.model, self.offset = model, offset

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.model(images) + self.offset
        return logits


@pytest.mark.parametrize("norm", NORMS)
def test_a_common_offset_of_the_logits_moves_next_to_nothing(norm: str) -> None:
    """float32 resolves 1/128 at 1e5: that is what the margins of logits near 50 may lose."""
    model = linear(5, 64, bias=40.0)
    model = Linear(10 * model.weight, 10 * model.bias)
    images = random_images(12)
    labels = predict(model, images)
    margin = -logit_margin(model(images), labels)
    images, labels, margin = (v[margin > 20] for v in (images, labels, margin))
    assert len(images) >= 4
    plain = distances(run(model, images, labels, norm), images, norm)
    moved = run(frozen(Offset(model, 1e5)), images, labels, norm)
    assert (predict(model, moved.adversarial) != labels).all()
    loss = (distances(moved, images, norm) / plain - 1).abs()
    assert (loss <= 2.5 / 128 / margin + 1.1e-3).all()
    assert set(moved.status) == {"converged"}
