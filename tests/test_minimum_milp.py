"""Linf distances of small ReLU nets, certified by mixed-integer programming (scipy's HiGHS).

Tjeng et al. 2019, https://arxiv.org/abs/1711.07356: a ReLU is a binary variable with bounds; for
each other class the smallest s with |x - x0| <= s within [0, 1] that makes it tie with the label.
"""

import numpy as np
import pytest
import torch
from minimum_cases import Array, distances, run
from scipy.optimize import Bounds, LinearConstraint, milp
from sklearn.datasets import load_digits
from torch import Tensor, nn


def digits() -> tuple[Tensor, Tensor]:
    """Return scikit-learn's digits (1797, 1, 8, 8) in [0, 1] and their labels."""
    data = load_digits()
    images = torch.from_numpy(data.images).float()[:, None] / 16
    return images, torch.from_numpy(data.target).long()


def trained(hidden: int, epochs: int = 60) -> nn.Sequential:
    """Return a net of one hidden ReLU layer, trained on the digits from 200 on."""
    torch.manual_seed(0)
    net = nn.Sequential(nn.Flatten(), nn.Linear(64, hidden), nn.ReLU(), nn.Linear(hidden, 10))
    images, labels = digits()
    optimiser = torch.optim.Adam(net.parameters(), 1e-2, weight_decay=1e-4)
    for _ in range(epochs):
        optimiser.zero_grad()
        nn.functional.cross_entropy(net(images[200:]), labels[200:]).backward()
        optimiser.step()
    return net.eval().requires_grad_(False)


def weights(net: nn.Sequential) -> tuple[Array, Array, Array, Array]:
    first, last = net[1], net[3]
    return tuple(v.double().numpy() for v in (first.weight, first.bias, last.weight, last.bias))  # type: ignore[return-value]


def certified(net: nn.Sequential, image: Tensor, label: int, limit: float) -> float | None:
    """Return the exact Linf distance, or None where HiGHS does not prove it in time.

    Args:
        net: as `trained`.
        image: (1, 8, 8); label: its class.
        limit: a distance at which an adversarial image is known; the search stays below it.
    """
    best = limit
    for other in range(10):
        if other != label:
            found = tie(weights(net), image.flatten().double().numpy(), label, other, best)
            if found is None:
                return None
            best = min(best, found)
    return best


def tie(
    net: tuple[Array, Array, Array, Array], x0: Array, label: int, other: int, limit: float
) -> float | None:
    """Return the smallest s below `limit` at which `other` ties with `label`; else the limit."""
    w1, b1, w2, b2 = net
    hidden, dims = w1.shape
    low_x, high_x = np.maximum(x0 - limit, 0), np.minimum(x0 + limit, 1)
    positive, negative = np.maximum(w1, 0), np.minimum(w1, 0)
    low = positive @ low_x + negative @ high_x + b1
    high = positive @ high_x + negative @ low_x + b1
    # variables: x (D), h (hidden), a (hidden, binary), s
    none, inf = np.zeros, np.inf
    up, down = np.maximum(high, 0), np.minimum(low, 0)

    def block(x: Array, h: Array, a: Array, s: float) -> Array:
        return np.c_[x, h, a, np.full(len(x), s)]

    no_x, eye, no_h = none((hidden, dims)), np.eye(hidden), none((hidden, hidden))
    all_x, no_units = np.eye(dims), none((dims, hidden))
    gain = (w2[other] - w2[label])[None]
    rows = [
        (block(-w1, eye, no_h, 0), b1, inf),  # h >= w x + b
        (block(-w1, eye, np.diag(-down), 0), -inf, b1 - down),  # h <= w x + b - low (1 - a)
        (block(no_x, eye, np.diag(-up), 0), -inf, none(hidden)),  # h <= up a
        (block(all_x, no_units, no_units, -1), -inf, x0),  # x - x0 <= s
        (block(all_x, no_units, no_units, 1), x0, inf),  # x0 - x <= s
        # the other class is at least as good
        (block(none((1, dims)), gain, none((1, hidden)), 0), b2[label] - b2[other], inf),
    ]
    count = dims + 2 * hidden + 1
    integral = np.r_[none(dims + hidden), np.ones(hidden), 0]
    # a ReLU whose sign is known below the limit is no choice
    choice_low, choice_high = (low >= 0).astype(float), (high > 0).astype(float)
    bounds = Bounds(
        np.r_[low_x, none(hidden), choice_low, 0.0],
        np.r_[high_x, np.maximum(up, 1e-9), choice_high, limit],
    )
    found = milp(
        np.r_[none(count - 1), 1.0], integrality=integral, bounds=bounds,
        constraints=[LinearConstraint(*row) for row in rows],
        options={"time_limit": 20.0, "mip_rel_gap": 1e-4},
    )  # fmt: skip
    if found.status == 2:  # infeasible: not nearer than the limit
        return limit
    return float(found.fun) if found.status == 0 else None


def ratios(hidden: int, count: int) -> Tensor:
    """Return ours over the certified distance of the first images that are classified right."""
    net = trained(hidden)
    images, labels = digits()
    right = (net(images).argmax(1) == labels).nonzero()[:count, 0]
    images, labels = images[right], labels[right]
    mine = distances(run(net, images, labels, "linf"), images, "linf")
    exact = [
        certified(net, image, int(label), 1.02 * float(found))
        for image, label, found in zip(images, labels, mine, strict=True)
    ]
    pairs = [(m, e) for m, e in zip(mine.tolist(), exact, strict=True) if e is not None]
    assert len(pairs) >= 0.9 * count
    return torch.tensor([m / e for m, e in pairs])


def test_the_certificate_is_that_of_a_linear_net_where_all_units_are_on() -> None:
    """Large biases make the ReLUs linear: the closed form in the box is the truth."""
    from minimum_cases import boxed_minimum

    net = trained(6)
    net[1].bias += 50
    net[3].bias -= 50 * net[3].weight.sum(1)
    w1, b1, w2, b2 = weights(net)
    images, _ = digits()
    for image in images[:3]:
        label = int(net(image[None]).argmax())
        exact = boxed_minimum(
            image.flatten().double().numpy(), w2 @ w1, w2 @ b1 + b2, label, "linf"
        )
        assert certified(net, image, label, 2 * exact) == pytest.approx(exact, rel=1e-3)


def test_linf_minima_of_a_tiny_net_are_certified() -> None:
    found = ratios(10, 8)
    assert found.min() >= 1 - 2e-3
    assert found.median() <= 1.001
    assert found.max() <= 1.02


@pytest.mark.slow
@pytest.mark.parametrize("hidden", [16, 32])
def test_linf_minima_of_small_nets_are_certified(hidden: int) -> None:
    found = ratios(hidden, 50)
    print(f"{hidden} hidden: n {len(found)}, median {found.median()}, largest {found.max()}")
    assert found.min() >= 1 - 2e-3
    assert found.median() <= 1.001
    assert found.max() <= 1.02
