"""What is taken for granted of a model is tried out: quirks are refused, harmless ones measured."""

from __future__ import annotations

import itertools
import random
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bench.cli.main import call
from bench.entries import registry
from bench.errors import BenchError, BenchWarning
from bench.models.factory import check_random, from_factory
from bench.models.load import load
from bench.models.probes import check_model
from bench.models.wrappers import OnClones, SomeClasses
from bench.steps.calibrate import calibrate, prepare

SHAPE, CLASSES = (1, 28, 28), 10
CPU = torch.device("cpu")


class Plain(nn.Module):
    """A small net with everything usual in it."""

    def __init__(self, norm: bool = True) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(1, 6, 3), nn.BatchNorm2d(6)
        self.readout = nn.Linear(6 * 13 * 13, CLASSES)
        if norm:
            self.norm.running_mean.uniform_(-0.5, 0.5)
            self.norm.running_var.uniform_(0.5, 2)

    def features(self, x: Tensor) -> Tensor:
        return F.max_pool2d(self.norm(self.conv(x)).relu(), 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.readout(self.features(x).flatten(1))


class Quirk(Plain):
    """A net with something done to its images before, or to its logits after."""

    def __init__(self, before: Callable, after: Callable) -> None:
        super().__init__()
        self.before, self.after, self.calls = before, after, 0

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        return self.after(super().forward(self.before(x, self)), self)


def quirk(before: Callable | None = None, after: Callable | None = None) -> nn.Module:
    torch.manual_seed(1)
    made = Quirk(before or (lambda x, _: x), after or (lambda y, _: y))
    return made.eval().requires_grad_(False)


class PullsTogether(torch.autograd.Function):
    """The identity, whose gradient is made of one size over the whole batch."""

    @staticmethod
    def forward(ctx, x):
        return x.clone()

    @staticmethod
    def backward(ctx, gradient):
        return gradient / gradient.norm()


class Jitters(torch.autograd.Function):
    """The identity, whose gradient is random."""

    @staticmethod
    def forward(ctx, x):
        return x.clone()

    @staticmethod
    def backward(ctx, gradient):
        return gradient + 1e-3 * torch.randn_like(gradient) * gradient.norm()


SEEDS = itertools.count()


def trains_batchnorm() -> nn.Module:
    made = quirk()
    made.norm.train()
    return made


RANDOM = {
    "dropout": lambda: quirk(lambda x, _: F.dropout(x, 0.2, training=True)),
    "rare dropout": lambda: quirk(lambda x, _: F.dropout(x, 0.002, training=True)),
    "noise": lambda: quirk(lambda x, _: x + 0.03 * torch.randn_like(x)),
    "tiny noise": lambda: quirk(after=lambda y, _: y + 1e-6 * torch.randn_like(y)),
    "NumPy's noise": lambda: quirk(lambda x, _: x * float(np.random.uniform(0.99, 1))),  # noqa: NPY002
    "Python's choice": lambda: quirk(lambda x, _: x.roll(random.randrange(5), 3)),
    "own generator": lambda: quirk(
        lambda x, _: x + torch.rand(x.shape, generator=torch.Generator().manual_seed(next(SEEDS)))
    ),
    "random gradient": lambda: quirk(lambda x, _: Jitters.apply(x)),
    "a count of calls": lambda: quirk(after=lambda y, net: y + 0.01 * net.calls),
    "a swapped head": lambda: quirk(after=lambda y, net: y if net.calls % 3 else y.flip(1)),
}
OF_THE_BATCH = {
    "mean": lambda: quirk(lambda x, _: x - 0.3 * x.mean(0, keepdim=True)),
    "a trace of the mean": lambda: quirk(lambda x, _: x - 1e-4 * x.mean(0, keepdim=True)),
    "largest value": lambda: quirk(lambda x, _: x / x.max()),
    "order": lambda: quirk(lambda x, _: x + torch.arange(len(x)).view(-1, 1, 1, 1) * 0.01),
    "its size": lambda: quirk(after=lambda y, _: y * (1 + 0.01 * len(y))),
    "neighbour": lambda: quirk(after=lambda y, _: y + 0.1 * y.roll(1, 0)),
    "gradient": lambda: quirk(lambda x, _: PullsTogether.apply(x)),
}
OTHERS = {
    "training batch norm": (trains_batchnorm, "function of one image|same after every call"),
    "asks for gradients": (
        lambda: quirk(lambda x, _: x if torch.is_grad_enabled() else x.flip(3)),
        "with and without gradients",
    ),
    "no gradient": (lambda: quirk(after=lambda y, _: y.detach()), "without a gradient"),
    "decisions": (lambda: quirk(after=lambda y, _: F.one_hot(y.argmax(1), 10)), "floating-point"),
    "NaN": (lambda: quirk(after=lambda y, _: y * torch.nan), "finite logits"),
    "a tuple": (lambda: quirk(after=lambda y, _: (y, y)), "got tuple"),
    "five classes": (lambda: quirk(after=lambda y, _: y[:, :5]), r"got \(4, 5\)"),
    "an error": (lambda: quirk(lambda x, _: x.view(3)), "takes 1 x 28 x 28 images"),
}


def check(module: nn.Module, **more: bool) -> None:
    check_model(module, SHAPE, CLASSES, CPU, name="mine", **more)


@pytest.mark.parametrize("kind", RANDOM)
def test_what_is_not_the_same_again_is_refused(kind: str) -> None:
    with pytest.raises(BenchError, match=r"model 'mine'.* the same .*(random|earlier calls)"):
        check(RANDOM[kind]())


@pytest.mark.parametrize("kind", OF_THE_BATCH)
def test_what_depends_on_the_batch_is_refused(kind: str) -> None:
    with pytest.raises(BenchError, match="expected a function of one image") as caught:
        check(OF_THE_BATCH[kind]())
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("kind", OTHERS)
def test_other_unusable_models_are_one_line(kind: str) -> None:
    make, reason = OTHERS[kind]
    with pytest.raises(BenchError, match=reason) as caught:
        check(make())
    assert "\n" not in str(caught.value)


def test_predictions_alone_need_no_gradient() -> None:
    check(quirk(after=lambda y, _: y.detach()), gradients=False)


def corner_root(x: Tensor, _: nn.Module) -> Tensor:
    corner = torch.zeros_like(x)
    corner[:, :, 0, 0] = 1
    return x + (0 * (x * corner * 0).sum((1, 2, 3)).sqrt())[:, None, None, None]


def in_half(x: Tensor, net: nn.Module) -> Tensor:
    with torch.autocast("cpu", torch.bfloat16):
        return net.conv(x).float().mean(1, keepdim=True)[..., :26, :26].new_zeros(x.shape) + x


def written(x: Tensor, _: nn.Module) -> Tensor:
    return x.mul_(0.5)


def written_data(x: Tensor, _: nn.Module) -> Tensor:
    x.data.clamp_(0.2, 0.8)
    return x


HONEST = {
    "plain": lambda: quirk(),
    "NaN gradient": lambda: quirk(corner_root),
    "eight bits": lambda: quirk(lambda x, _: (x * 255).round() / 255),
    "an offset": lambda: quirk(after=lambda y, _: y + 1e5),
    "constant": lambda: quirk(after=lambda y, _: y * 0),
    "huge logits": lambda: quirk(after=lambda y, _: y * 1e8),
    "log-probabilities": lambda: quirk(after=lambda y, _: y.log_softmax(1)),
    "writes into its images": lambda: OnClones(quirk(written)),
    "writes into their data": lambda: OnClones(quirk(written_data)),
    "TorchScript": lambda: torch.jit.script(Plain().eval().requires_grad_(False)),
    "some classes": lambda: SomeClasses(
        nn.Sequential(quirk(), nn.Linear(10, 30)).eval(), tuple(range(0, 30, 3))
    ),
}


@pytest.mark.filterwarnings("ignore:`torch.jit:FutureWarning")
@pytest.mark.parametrize("kind", HONEST)
def test_harmless_models_pass(kind: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error", BenchWarning)
        check(HONEST[kind]())


def test_half_precision_inside_passes_and_gives_float32() -> None:
    class Half(Plain):
        def forward(self, x: Tensor) -> Tensor:
            with torch.autocast("cpu", torch.bfloat16):
                return super().forward(x)

    torch.manual_seed(0)
    made = OnClones(Half().eval().requires_grad_(False))
    assert made(torch.rand(2, *SHAPE)).dtype == torch.float32
    check(made)


class Tokens(nn.Module):
    """Batch norm, then tokens: PyTorch 2.14 mistakes the strides of one image's gradient here."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(1, 8, 7, 7), nn.BatchNorm2d(8)
        self.norm.running_var.uniform_(0.5, 2)
        self.readout = nn.Linear(16 * 8, CLASSES)
        self.register_buffer("table", torch.zeros(1))

    def forward(self, x: Tensor) -> Tensor:
        if not self.table.any():  # filled when it is first called
            self.table.fill_(2.0)
        tokens = self.norm(self.conv(x).relu()).flatten(2).transpose(1, 2)
        return self.readout(tokens.flatten(1)) * self.table


@pytest.mark.filterwarnings("ignore:model 'mine'. PyTorch:bench.errors.BenchWarning")
def test_what_pytorch_mistakes_is_not_the_models_fault() -> None:
    torch.manual_seed(0)
    check(Tokens().eval().requires_grad_(False))


def test_probabilities_pass_with_a_warning() -> None:
    with pytest.warns(BenchWarning, match="expected logits, got probabilities"):
        check(quirk(after=lambda y, _: y.softmax(1)))


def test_what_a_model_writes_into_its_images_stays_with_it() -> None:
    images = torch.rand(3, *SHAPE)
    for before in (written, written_data):
        kept = images.clone()
        made, plain = OnClones(quirk(before)), quirk()
        changed = kept * 0.5 if before is written else kept.clamp(0.2, 0.8)
        assert torch.equal(made(images), plain(changed))
        assert torch.equal(images, kept)
        leaf = images.clone().requires_grad_()
        (gradient,) = torch.autograd.grad(made(leaf).sum(), leaf)
        assert gradient.isfinite().all()


@pytest.mark.parametrize("name", ["fashionmnist-fully-connected-relu", "fashionmnist-local-conv"])
def test_the_registrys_nets_pass(name: str) -> None:
    loaded = load(registry.model(name), "default", CPU)
    check(loaded.module)


@pytest.mark.parametrize("family", ["resnet", "vit", "efficientnet", "convnext", "byobnet"])
def test_timms_small_models_pass(family: str) -> None:
    import timm

    torch.manual_seed(0)
    net = timm.create_model(f"test_{family}").eval().requires_grad_(False)
    check_model(net, (3, 96, 96) if family != "vit" else (3, 160, 160), 1000, CPU, name=family)


# ---------------------------------------------------------------- random weights


WEIGHTS = {k: torch.randn(v.shape) if v.is_floating_point() else v for k, v in Plain().state_dict().items()}  # fmt: skip  # noqa: E501


def fresh() -> nn.Module:
    return Plain(norm=False)


def numpy_fresh() -> nn.Module:
    made = Plain(norm=False)
    with torch.no_grad():
        for p in made.parameters():
            p.copy_(torch.from_numpy(np.random.standard_normal(p.shape)))  # noqa: NPY002
    return made


def loaded() -> nn.Module:
    made = Plain()
    made.load_state_dict(WEIGHTS)
    return made


def loaded_backbone() -> nn.Module:
    made = Plain(norm=False)
    made.conv.load_state_dict({k[5:]: v for k, v in WEIGHTS.items() if k.startswith("conv")})
    return made


def loaded_statistics() -> nn.Module:
    made = Plain(norm=False)
    made.norm.running_mean.copy_(WEIGHTS["norm.running_mean"])
    return made


def seeds_itself() -> nn.Module:
    torch.manual_seed(0)
    return Plain(norm=False)


def hides_its_weights() -> nn.Module:
    class Hidden(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return F.linear(x.flatten(1), WEIGHTS["readout.weight"][:, :784])

    return Hidden()


def fails() -> nn.Module:
    raise KeyError("no such layer")


HERE = __name__


@pytest.mark.parametrize("name", ["fresh", "numpy_fresh"])
def test_fresh_weights_are_a_control(name: str) -> None:
    made = from_factory(f"{HERE}:{name}", True, 3)
    check_random(made, f"{HERE}:{name}", 3, SHAPE)
    again = from_factory(f"{HERE}:{name}", True, 3)
    assert all(torch.equal(a, again.state_dict()[k]) for k, a in made.state_dict().items())


@pytest.mark.parametrize(
    "name",
    ["loaded", "loaded_backbone", "loaded_statistics", "seeds_itself", "hides_its_weights"],
)
def test_weights_that_are_not_random_are_no_control(name: str) -> None:
    made = from_factory(f"{HERE}:{name}", True, 0)
    with pytest.raises(BenchError, match=r"other weights for another seed .*no untrained control"):
        check_random(made, f"{HERE}:{name}", 0, SHAPE)


def test_a_factory_that_fails_is_one_line() -> None:
    with pytest.raises(BenchError, match="to make a model, got KeyError: 'no such layer'"):
        from_factory(f"{HERE}:fails", True, 0)


# ---------------------------------------------------------------- through the command line


def dropout_left_on() -> nn.Module:
    return RANDOM["dropout"]()


def batch_statistics() -> nn.Module:
    return OF_THE_BATCH["mean"]()


def no_gradient() -> nn.Module:
    return OTHERS["no gradient"][0]()


def works_in_place() -> nn.Module:
    return HONEST_UNWRAPPED["works_in_place"]()


HONEST_UNWRAPPED = {
    "works_in_place": lambda: quirk(lambda x, _: x.mul_(1.0)),
    "works_on_data": lambda: quirk(written_data),
    "scripted": lambda: torch.jit.script(quirk_free()),
}


def quirk_free() -> nn.Module:
    torch.manual_seed(1)
    return Plain().eval().requires_grad_(False)


def scripted() -> nn.Module:
    return HONEST_UNWRAPPED["scripted"]()


def works_on_data() -> nn.Module:
    return HONEST_UNWRAPPED["works_on_data"]()


CALLS = {
    "dropout_left_on": (2, "draws random numbers"),
    "batch_statistics": (2, "a function of one image"),
    "no_gradient": (2, "without a gradient"),
    "works_in_place": (0, ""),
    "works_on_data": (0, ""),
    "scripted": (0, ""),
}


@pytest.mark.filterwarnings("ignore:`torch.jit:FutureWarning")
@pytest.mark.parametrize("name", CALLS)
def test_bench_eval_measures_or_refuses(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, reason = CALLS[name]
    run = ["eval", "-m", entry_of(tmp_path, name), "--trust", "--limit", "3", "-a", "pgd-l2"]
    found = call([*run, "--protocol", "caro2024", "-o", str(tmp_path)])
    err = capsys.readouterr().err
    assert found == code, err
    assert reason in err
    assert "Traceback" not in err


def test_a_control_that_loads_its_weights_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, code in (("loaded", 2), ("fresh", 0)):
        run = ["eval", "-m", entry_of(tmp_path, name), "--trust", "--limit", "1", "-a", "pgd-l2"]
        more = ["--weights", "random", "--protocol", "caro2024", "-o", str(tmp_path)]
        assert call([*run, *more]) == code
    assert "no untrained control" in capsys.readouterr().err


def entry_of(folder: Path, function: str) -> str:
    """Write the entry of a factory that is here."""
    lines = [f'name = "{function}"', 'source = "factory"', f'factory = "{HERE}:{function}"']
    lines += ['dataset = "fashionmnist"', 'family = "mine"', 'type = "Other"']
    (folder / f"{function}.toml").write_text("\n".join(lines))
    return str(folder / f"{function}.toml")


# ---------------------------------------------------------------- calibration


class Flat(nn.Module):
    """A read-out that refuses channels_last."""

    def forward(self, x: Tensor) -> Tensor:
        return x.view(len(x), -1)[:, :CLASSES]


class NotTwice(nn.Module):
    """A model that can't be copied."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = Plain()

    def __deepcopy__(self, memo: object) -> nn.Module:
        raise RuntimeError("no copies")

    def forward(self, x: Tensor) -> Tensor:
        return self.inner(x)


class OneLayout(nn.Module):
    """A model that takes no other memory format than the usual one."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Sequential(nn.Conv2d(1, 3, 3), nn.ReLU(), nn.Conv2d(3, 3, 3), Flat())

    def forward(self, x: Tensor) -> Tensor:
        return self.inner(x)


@pytest.mark.filterwarnings("ignore:`torch.jit:FutureWarning")
@pytest.mark.parametrize("kind", ["no copies", "one layout", "TorchScript"])
def test_a_candidate_that_raises_is_not_chosen(kind: str) -> None:
    torch.manual_seed(0)
    plain = Plain().eval().requires_grad_(False)
    kinds = {"no copies": NotTwice, "one layout": OneLayout}
    model = kinds[kind]() if kind in kinds else torch.jit.script(plain)
    model = OnClones(model).eval().requires_grad_(False)
    images, labels = torch.rand(4, *SHAPE), torch.arange(4)
    choice = calibrate(model, images, labels, rounds=1)
    logits = prepare(model, choice, images).logits(images)
    torch.testing.assert_close(logits, model(images))
