"""Training through the affine map takes the steps of the net itself, in every kind of layer."""

from __future__ import annotations

import copy
from typing import get_args

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from bench.entries.model import Family, Net
from bench.models.affine import affine_map, has_affine_map
from bench.models.nets import PaperNet, build_net
from bench.studies.nets import SameConv

CLASSES = 7
FAMILIES: tuple[Family, ...] = get_args(Family)
NETS: dict[str, Net | SameConv] = {
    **{
        f"{family}{'-deep' * deep}": Net(family=family, deep=deep, relu=False)
        for family in FAMILIES
        for deep in (False, True)
    },
    "kernel-1": Net(family="local-conv", deep=False, relu=False, kernel_size=1),
    "kernel-3": Net(family="local-conv", deep=False, relu=False, kernel_size=3),
    "kernel-5": Net(family="local-conv", deep=True, relu=False, kernel_size=5),
    "kernel-9": Net(family="local-conv", deep=True, relu=False, kernel_size=9),
    "same": SameConv(1, False),
    "same-deep": SameConv(3, False),
}
SHAPES = [(1, 12, 12), (3, 9, 10)]


def make(name: str, shape: tuple[int, int, int]) -> PaperNet:
    wanted = NETS[name]
    if isinstance(wanted, SameConv):
        net = wanted.build(input_shape=shape, classes=CLASSES, seed=1)
        assert isinstance(net, PaperNet)
        return net
    return build_net(wanted, input_shape=shape, classes=CLASSES, seed=1)


def gradients(net: nn.Module, logits: Tensor, labels: Tensor) -> list[Tensor]:
    return list(torch.autograd.grad(F.cross_entropy(logits, labels), list(net.parameters())))


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", NETS)
def test_the_map_has_the_nets_logits_and_its_gradients(
    name: str, shape: tuple[int, int, int]
) -> None:
    net = make(name, shape).double()
    assert has_affine_map(net)
    draws = torch.Generator().manual_seed(0)
    images = torch.rand(6, *shape, generator=draws, dtype=torch.float64)
    labels = torch.arange(6)
    plain = net(images)
    mapped = F.linear(images.flatten(1), *affine_map(net, shape))
    torch.testing.assert_close(mapped, plain, rtol=1e-10, atol=1e-12)
    for one, other in zip(
        gradients(net, mapped, labels), gradients(net, plain, labels), strict=True
    ):
        torch.testing.assert_close(one, other, rtol=1e-8, atol=1e-12)


@pytest.mark.parametrize("name", ["full-conv", "local-conv", "locally-connected", "kernel-9"])
def test_twenty_steps_in_float32_end_at_the_same_weights(name: str) -> None:
    shape = SHAPES[0]
    first = make(name, shape)
    ends = []
    for mapped in (False, True):
        net = copy.deepcopy(first)
        optimizer = torch.optim.SGD(net.parameters(), lr=0.01, momentum=0.9)
        draws = torch.Generator().manual_seed(0)
        for _ in range(20):
            images = torch.rand(50, *shape, generator=draws)
            labels = torch.randint(0, CLASSES, (50,), generator=draws)
            flat = images.flatten(1)
            logits = F.linear(flat, *affine_map(net, shape)) if mapped else net(images)
            optimizer.zero_grad()
            F.cross_entropy(logits, labels).backward()  # type: ignore[no-untyped-call]
            optimizer.step()
        ends.append(torch.cat([p.detach().flatten() for p in net.parameters()]))
    start = torch.cat([p.detach().flatten() for p in first.parameters()])
    moved = (ends[0] - start).norm()
    assert (ends[0] - ends[1]).norm() < 1e-4 * moved


def test_nets_with_relu_and_other_nets_have_none() -> None:
    relu = build_net(
        Net(family="local-conv", deep=False, relu=True), input_shape=SHAPES[0], classes=3, seed=0
    )
    assert not has_affine_map(relu)
    assert not has_affine_map(nn.Linear(4, 3))
    unknown = make("local-conv", SHAPES[0])
    unknown.hidden.append(nn.Tanh())
    assert not has_affine_map(unknown)
