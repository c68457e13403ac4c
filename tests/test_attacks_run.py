"""attack_batch attacks a batch and judges it once, whatever the attack."""

import warnings

import pytest
import torch
from attack_cases import (
    Constant,
    attacked,
    brendel_bethge,
    foolbox,
    frozen,
    other_class_starts,
    pgd,
    predict,
    random_images,
    small_net,
)
from torch import Tensor, nn

from bench.attacks.base import Attacked
from bench.attacks.brendel_bethge.settings import BrendelBethge
from bench.attacks.pgd import PGD
from bench.attacks.run import attack_batch
from bench.steps.step import GradientStep

NET = small_net()
IMAGES = random_images(12)
LABELS = predict(NET, IMAGES)


def lp(delta: Tensor, norm: str) -> Tensor:
    order = {"linf": torch.inf, "l2": 2, "l1": 1}[norm]
    return torch.linalg.vector_norm(delta.double().flatten(1), order, dim=1)


@pytest.mark.parametrize("implementation", ["bench", "foolbox"])
@pytest.mark.parametrize(
    ("norm", "budget"), [("linf", 8 / 255), ("l2", 2.0), ("l1", 0.1 * 1 * 8 * 8)]
)
def test_pgd_uses_its_budget_and_fools(norm: str, budget: float, implementation: str) -> None:
    outcome = attack_batch(NET, pgd(norm, implementation), IMAGES, LABELS)
    size = lp(outcome.adversarial - IMAGES, norm)
    assert (size <= budget * (1 + 1e-5)).all()
    assert size.median() > 0.9 * budget
    assert outcome.adversarial.dtype == torch.float32
    assert outcome.adversarial.min() >= 0
    assert outcome.adversarial.max() <= 1
    assert torch.equal(outcome.adv_pred, predict(NET, outcome.adversarial))
    assert (outcome.adv_pred != LABELS).float().mean() > 0.5
    assert not outcome.init_failed.any()
    assert not outcome.nonfinite.any()


@pytest.mark.parametrize("scale", ["relative", "absolute"])
@pytest.mark.parametrize("norm", ["linf", "l2", "l1"])
def test_foolbox_pgd_gets_the_settings(norm: str, scale: str) -> None:
    """The same attack called by hand in foolbox's own words."""
    name = {"linf": "LinfPGD", "l2": "L2PGD", "l1": "L1PGD"}[norm]
    word = {"relative": "rel_stepsize", "absolute": "abs_stepsize"}[scale]
    budget = {"linf": 8 / 255, "l2": 2.0, "l1": 6.4}[norm]
    # the l1 budget of 6.4 is 0.1 a value, and so is an absolute step
    size = 0.03 * 64 if (norm, scale) == ("l1", "absolute") else 0.03
    attack = getattr(foolbox.attacks, name)(**{word: size}, steps=20, random_start=False)
    fmodel = foolbox.PyTorchModel(NET, bounds=(0, 1), device="cpu")
    _, expected, _ = attack(fmodel, IMAGES, LABELS, epsilons=budget)
    spec = pgd(norm, "foolbox", step_scale=scale, step_size=0.03)
    assert torch.equal(attacked(spec, NET, IMAGES, LABELS), expected)


@pytest.mark.slow
@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_foolbox_brendel_bethge_has_the_nominal_batch(norm: str) -> None:
    """The trust region is that of a batch of 20, alone as in company: same steps, same result."""
    spec = brendel_bethge(norm, "foolbox", steps=10)
    starts = other_class_starts(NET, IMAGES)
    together = attacked(spec, NET, IMAGES[:4], LABELS[:4], starts[:4])
    alone = attacked(spec, NET, IMAGES[:1], LABELS[:1], starts[:1])
    assert (predict(NET, together) != LABELS[:4]).all()
    torch.testing.assert_close(alone[0], together[0], rtol=0, atol=1e-4)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        kind = {"linf": "LinfinityBrendelBethgeAttack", "l2": "L2BrendelBethgeAttack"}[norm]
        attack = getattr(foolbox.attacks, kind)(steps=10, lr=1e-3)
    fmodel = foolbox.PyTorchModel(NET, bounds=(0, 1), device="cpu")
    many = [x[:1].repeat(20, *[1] * (x.ndim - 1)) for x in (IMAGES, LABELS, starts)]
    expected = attack.run(fmodel, many[0], many[1], starting_points=many[2])
    torch.testing.assert_close(alone[0], expected[0], rtol=0, atol=1e-4)


@pytest.mark.slow
def test_a_bad_start_costs_one_sample() -> None:
    """foolbox alone would stop the whole batch with an assertion."""
    starts = other_class_starts(NET, IMAGES)
    starts[3] = IMAGES[3]
    ok = torch.ones(12, dtype=torch.bool)
    ok[7] = False
    outcome = attack_batch(
        NET, brendel_bethge("l2", "foolbox", steps=5), IMAGES, LABELS, starts, ok
    )
    assert outcome.init_failed.nonzero().flatten().tolist() == [3, 7]
    assert torch.equal(outcome.adversarial[3], IMAGES[3])
    others = ~outcome.init_failed
    assert (outcome.adv_pred[others] != LABELS[others]).all()


class Fragile(nn.Module):
    """NaN logits for images brighter than 0.9 on average."""

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = NET(images)
        bright = images.flatten(1).mean(1) > 0.9
        return logits + torch.where(bright, torch.nan, 0.0)[:, None]


@pytest.mark.parametrize("implementation", ["bench", "foolbox"])
def test_nan_costs_one_sample(implementation: str) -> None:
    images = IMAGES.clone()
    images[2] = 0.97
    outcome = attack_batch(
        frozen(Fragile()), pgd("l2", implementation, epsilon=0.5), images, LABELS
    )
    assert outcome.nonfinite.nonzero().flatten().tolist() == [2]
    assert torch.equal(outcome.adversarial[2], images[2])
    assert outcome.adversarial.isfinite().all()


@pytest.mark.parametrize("norm", ["linf", "l2", "l1"])
@pytest.mark.parametrize("implementation", ["bench", "foolbox"])
def test_zero_gradient_gives_zero_perturbation(norm: str, implementation: str) -> None:
    outcome = attack_batch(
        Constant([2.0, 1.0]), pgd(norm, implementation), IMAGES[:3], torch.zeros(3).long()
    )
    assert torch.equal(outcome.adversarial, IMAGES[:3])
    assert (outcome.adv_pred == 0).all()
    assert not outcome.nonfinite.any()


class Greedy(PGD):
    """An attack whose author forgot everything: too far and outside [0, 1]."""

    def run(self, step: GradientStep, images: Tensor, labels: Tensor, starts: Tensor) -> Tensor:
        return images - 1.5


def test_what_comes_out_is_clipped_and_the_budget_is_checked() -> None:
    greedy = Greedy(**pgd("l2").model_dump())
    assert attacked(greedy, NET, IMAGES, LABELS).min() == 0
    with pytest.raises(AssertionError, match="left its budget"):
        attack_batch(NET, greedy, IMAGES, LABELS)


class HalfBlind(BrendelBethge):
    """Says of some samples that it could not take its steps."""

    def run(self, step: GradientStep, images: Tensor, labels: Tensor, starts: Tensor) -> Attacked:
        stalled, nonfinite = torch.arange(len(images)) == 0, torch.arange(len(images)) == 1
        return Attacked(starts, stalled, nonfinite)


def test_what_an_attack_says_of_itself_reaches_the_outcome() -> None:
    starts = other_class_starts(NET, IMAGES)
    starts[0] = IMAGES[0]  # no start: the attack sees the others only
    settings = HalfBlind(**brendel_bethge("l2").model_dump())
    outcome = attack_batch(NET, settings, IMAGES, LABELS, starts)
    assert outcome.init_failed.nonzero().flatten().tolist() == [0]
    assert outcome.stalled.nonzero().flatten().tolist() == [1]
    assert outcome.nonfinite.nonzero().flatten().tolist() == [2]


def test_empty_batch() -> None:
    for spec in (pgd("linf"), brendel_bethge("l2")):
        outcome = attack_batch(NET, spec, IMAGES[:0], LABELS[:0], IMAGES[:0])
        assert outcome.adversarial.shape == (0, 1, 8, 8)
        assert outcome.adv_pred.shape == (0,)


def test_random_start_is_refused() -> None:
    with pytest.raises(ValueError, match="expected random_start = false"):
        pgd("l2", random_start=True)


def test_attacks_leave_the_model_alone() -> None:
    net = small_net(seed=8)
    before = {k: v.clone() for k, v in net.state_dict().items()}
    attack_batch(net, pgd("l2"), IMAGES, LABELS)
    assert all(torch.equal(v, before[k]) for k, v in net.state_dict().items())
    assert all(p.grad is None and not p.requires_grad for p in net.parameters())
    assert not net.training
