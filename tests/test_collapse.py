"""A collapsed linear net gives the net's logits and gradients; its matrix is the net's Jacobian."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from bench.entries.model import Family, Net
from bench.errors import BenchError
from bench.models.collapse import collapse
from bench.models.nets import PaperNet, build_net

SHAPE = (3, 10, 9)
FAMILIES = ["fully-connected", "full-conv", "locally-connected", "local-conv"]


def make(family: Family, deep: bool, relu: bool = False) -> PaperNet:
    net = build_net(Net(family=family, deep=deep, relu=relu), input_shape=SHAPE, classes=7, seed=0)
    return net.eval().requires_grad_(False)


@pytest.mark.parametrize("deep", [False, True])
@pytest.mark.parametrize("family", FAMILIES)
def test_equal_logits_and_gradients(family: Family, deep: bool) -> None:
    net = make(family, deep)
    images = torch.rand(5, *SHAPE, generator=torch.Generator().manual_seed(1))
    values, gradients = [], []
    for module in (net, collapse(net, SHAPE)):
        x = images.clone().requires_grad_()
        logits = module(x)
        F.cross_entropy(logits, torch.arange(5)).backward()
        values.append(logits.detach())
        gradients.append(x.grad)
    for a, b in (values, gradients):
        assert ((a - b).abs().max() / a.abs().max()).item() < 1e-4


def test_the_matrix_of_a_deep_fully_connected_net_is_the_product_of_its_matrices() -> None:
    net = make("fully-connected", True)
    product = net.readout.weight.double()
    for layer in reversed(net.hidden):
        product = product @ layer.weight.double()
    found = collapse(net.double(), SHAPE).weight
    assert found.dtype == torch.float64
    torch.testing.assert_close(found, product)


def test_the_matrix_is_the_difference_that_one_pixel_makes() -> None:
    net = make("local-conv", True).double()
    zero, pixel = torch.zeros(2, 1, *SHAPE, dtype=torch.float64)
    pixel[0, 2, 4, 3] = 1
    weight = collapse(net, SHAPE).weight.view(7, *SHAPE)
    torch.testing.assert_close(weight[:, 2, 4, 3], (net(pixel) - net(zero))[0])


def test_collapse_is_frozen_and_keeps_the_type() -> None:
    collapsed = collapse(make("local-conv", False), SHAPE)
    assert not collapsed.training
    for parameter in collapsed.parameters():
        assert parameter.dtype == torch.float32
        assert not parameter.requires_grad


def test_collapse_leaves_the_net_as_it_is() -> None:
    net = make("full-conv", True)
    before = {name: value.clone() for name, value in net.state_dict().items()}
    collapse(net, SHAPE)
    for name, value in net.state_dict().items():
        assert value.dtype == torch.float32
        assert torch.equal(value, before[name])


def test_collapse_works_where_gradients_are_off() -> None:
    net, images = make("local-conv", False), torch.rand(2, *SHAPE)
    with torch.no_grad():
        collapsed = collapse(net, SHAPE)
        torch.testing.assert_close(collapsed(images), net(images), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_relu_net_is_refused(family: Family) -> None:
    with pytest.raises(BenchError, match=r"without nonlinearity.*PaperNet"):
        collapse(make(family, False, relu=True), SHAPE)


def test_any_affine_module_collapses() -> None:
    module = nn.Sequential(nn.AvgPool2d(2), nn.Flatten(), nn.Linear(3 * 5 * 4, 7))
    images = torch.rand(2, *SHAPE)
    torch.testing.assert_close(collapse(module, SHAPE)(images), module(images))
