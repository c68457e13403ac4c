"""Start points depend on (protocol seed, attack, sample) and the model, and on nothing else."""

from collections import Counter
from collections.abc import Sequence

import torch
from attack_cases import Constant, predict, random_images, small_net
from torch import Tensor

from bench.attacks.starts import StartPool, draw_bits

NET = small_net(seed=5)
POOL = random_images(40, seed=6)
CLASSES = predict(NET, POOL)


class Spy:
    """Counts what is asked of the model and of the data."""

    def __init__(self, net: torch.nn.Module = NET) -> None:
        self.net, self.predicted, self.read = net, 0, 0

    def images_of(self, ids: Sequence[int]) -> Tensor:
        self.read += len(ids)
        return POOL[list(ids)]

    def predict(self, images: Tensor) -> Tensor:
        self.predicted += len(images)
        return predict(self.net, images)

    def pool(self, seed: int = 1) -> StartPool:
        return StartPool(self.images_of, self.predict, range(40), seed)


def position(start: Tensor) -> int:
    """Return the position in the pool of a start image."""
    same = (start == POOL).flatten(1).all(1)
    assert same.sum() == 1, "the start must be one of the pool's images"
    return int(same.nonzero()[0, 0])


def test_start_is_a_pool_image_of_another_class() -> None:
    starts, ok = Spy().pool().starts("bb-l2", range(40), CLASSES.tolist(), POOL)
    assert ok.all()
    assert (predict(NET, starts) != CLASSES).all()
    assert all(position(start) != sample for sample, start in enumerate(starts))


def test_start_is_the_same_in_any_order_batch_or_process() -> None:
    labels = CLASSES.tolist()
    together, _ = Spy().pool().starts("bb-l2", range(40), labels, POOL)
    other = Spy().pool()
    for sample in reversed(range(0, 40, 3)):
        alone, _ = other.starts("bb-l2", [sample], [labels[sample]], POOL[sample : sample + 1])
        assert torch.equal(alone[0], together[sample])


def test_seed_attack_and_sample_draw_differently() -> None:
    labels = CLASSES.tolist()

    def positions(seed: int, attack: str) -> list[int]:
        starts, _ = Spy().pool(seed).starts(attack, range(40), labels, POOL)
        return [position(start) for start in starts]

    base = positions(1, "bb-l2")
    assert base == positions(1, "bb-l2")
    assert base != positions(2, "bb-l2")
    assert base != positions(1, "bb-linf")
    assert len(set(base)) > 10


def test_first_of_a_uniform_permutation() -> None:
    """With a label that no image has, each pool image is first equally often."""
    pool = Spy().pool()
    count = Counter(
        position(pool.starts("bb-l2", [sample], [-1], POOL[:1])[0][0]) for sample in range(4000)
    )
    # 100 expected each with standard deviation 10
    assert set(count) == set(range(40))
    assert max(count.values()) < 150
    assert min(count.values()) > 50


def test_few_samples_need_few_predictions() -> None:
    spy = Spy()
    pool = spy.pool()
    pool.starts("bb-l2", [0, 1], CLASSES[:2].tolist(), POOL[:2])
    first = spy.predicted
    assert first <= 8
    pool.starts("bb-l2", [0, 1], CLASSES[:2].tolist(), POOL[:2])
    assert spy.predicted == first, "predictions of the pool are remembered"


class Brightness(torch.nn.Module):
    """Class 1 if the mean is at least 0.45: all noise, and all bright images."""

    def forward(self, images: Tensor) -> Tensor:
        mean = images.flatten(1).mean(1)
        return torch.stack([0 * mean, mean - 0.45], 1)


def test_blended_noise_when_no_pool_image_qualifies() -> None:
    dark = torch.full((2, 1, 8, 8), 0.2)
    pool = StartPool(
        lambda ids: dark[list(ids)], lambda x: predict(Brightness(), x), [0, 1], seed=1
    )
    starts, ok = pool.starts("bb-l2", [0, 1], [0, 0], dark)
    assert ok.all()
    assert (predict(Brightness(), starts) == 1).all()
    # the least sufficient of 64 blends: noise of mean ~.5 needs a share of ~ (.45-.2)/(.5-.2)
    assert (starts.flatten(1).mean(1) < 0.46).all()
    again, _ = pool.starts("bb-l2", [1], [0], dark[1:])
    assert torch.equal(again[0], starts[1])


def test_a_model_with_one_class_fails_for_its_label_only() -> None:
    spy = Spy(Constant([1.0, 0.0]))
    starts, ok = spy.pool().starts("bb-l2", [0, 1], [0, 1], POOL[:2])
    assert ok.tolist() == [False, True]
    assert torch.equal(starts[0], POOL[0]), "the clean image stands in for a missing start"


def test_draws_are_philox_bits_of_a_hash() -> None:
    """These numbers are part of every protocol: a change would change every start point."""
    bits = draw_bits(0, "bb-l2", 7, "pool", 3)
    again = draw_bits(0, "bb-l2", 7, "pool", 3)
    assert bits.tolist() == again.tolist()
    assert len({draw_bits(0, "bb-l2", 7, p, 1)[0] for p in ("pool", "noise0", "noise1")}) == 3
    assert bits.tolist() == FROZEN


FROZEN = [5230519379439962074, 943745092015606520, 3126332010505092837]
