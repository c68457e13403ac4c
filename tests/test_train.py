"""Training: the recipe, the same bits after any interruption, and what is written."""

from __future__ import annotations

import csv
import dataclasses
import json
import pickle
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from fabricate import write_idx
from safetensors import safe_open
from torch import nn
from torch.nn import functional as F

from bench.entries.model import Family, Net, Recipe
from bench.errors import BenchError
from bench.models.checkpoint import load_weights, read_checkpoint, write_checkpoint
from bench.models.nets import build_net
from bench.training.curves import EpochRow
from bench.training.job import Job, Split
from bench.training.loop import Reporter, train
from bench.training.train import Announcer
from bench.training.train import train as train_entries

SIDE, CLASSES = 8, 4


def bright_quarters(count: int, seed: int) -> Split:
    """Noise images in which the quarter of the class is brighter."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, CLASSES, count)
    images = rng.integers(0, 120, (count, SIDE, SIDE), dtype=np.uint8)
    for image, label in zip(images, labels, strict=True):
        row, column = divmod(int(label), 2)
        image[4 * row : 4 * row + 4, 4 * column : 4 * column + 4] += 100
    return Split(images, labels.astype(np.int64), f"{seed:064d}")


def job(path: Path, family: Family = "local-conv", **changes: Any) -> Job:
    recipe = {"learning_rate": 0.02, "batch_size": 16, "epochs": 3} | changes.pop("recipe", {})
    made = Job(
        model="toy",
        net=Net(family=family, deep=False, relu=True),
        recipe=Recipe(**recipe),
        dataset="quarters",
        classes=CLASSES,
        train=bright_quarters(150, 1),
        test=bright_quarters(60, 2),
        path=path / "toy.safetensors",
    )
    return dataclasses.replace(made, **changes)


class Interrupts(Reporter):
    """Interrupts after some steps."""

    def __init__(self, steps: int) -> None:
        self.left = steps

    def step(self) -> None:
        self.left -= 1
        if not self.left:
            raise KeyboardInterrupt


# ---------------------------------------------------------------- the recipe


def test_the_rate_drops_to_three_tenths_every_four_epochs(tmp_path: Path) -> None:
    made = job(tmp_path, recipe={"learning_rate": 0.01, "epochs": 40})
    reference = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=0.01)
    schedule = torch.optim.lr_scheduler.StepLR(reference, step_size=4, gamma=0.3)
    for epoch in range(made.epochs):
        assert made.rate(epoch) == pytest.approx(schedule.get_last_lr()[0])
        reference.step()
        schedule.step()


@pytest.mark.parametrize(("until_lr", "epochs"), [(None, 40), (0.01, 16), (1.0, 4), (1e-9, 40)])
def test_until_lr_ends_where_the_rate_is_below_its_share(
    tmp_path: Path, until_lr: float | None, epochs: int
) -> None:
    assert job(tmp_path, recipe={"epochs": 40}, until_lr=until_lr).epochs == epochs


@pytest.mark.parametrize("family", ["local-conv", "full-conv", "locally-connected"])
def test_full_batch_training_is_plain_sgd_with_momentum(tmp_path: Path, family: Family) -> None:
    made = job(tmp_path, family, recipe={"batch_size": 150, "epochs": 6})
    found = read_checkpoint(train(made).path)
    net = build_net(made.net, input_shape=(1, SIDE, SIDE), classes=CLASSES, seed=0)
    images = torch.from_numpy(made.train.images)[:, None].float() / 255
    labels = torch.from_numpy(made.train.labels)
    velocity = [torch.zeros_like(p) for p in net.parameters()]
    for epoch in range(6):
        net.zero_grad()
        F.cross_entropy(net(images), labels).backward()
        with torch.no_grad():
            for parameter, v in zip(net.parameters(), velocity, strict=True):
                assert parameter.grad is not None
                v.mul_(0.9).add_(parameter.grad)
                parameter -= 0.02 * (0.3 if epoch >= 4 else 1.0) * v
    for name, expected in net.state_dict().items():
        torch.testing.assert_close(found.tensors[name], expected, rtol=1e-4, atol=1e-6)


def test_it_learns(tmp_path: Path) -> None:
    assert train(job(tmp_path)).meta["test_accuracy"] > 90


def test_a_loss_that_is_not_finite_stops_with_one_line(tmp_path: Path) -> None:
    with pytest.raises(BenchError, match=r"finite loss, got (nan|inf).*epoch 1.*lower --lr"):
        train(job(tmp_path, recipe={"learning_rate": 1e30}))
    assert not list(tmp_path.glob("*.safetensors"))


# ---------------------------------------------------------------- the same bits


@pytest.mark.parametrize("family", ["local-conv", "full-conv", "locally-connected"])
@pytest.mark.parametrize("steps", [1, 10, 25])
def test_interrupted_and_resumed_gives_the_same_bytes(
    tmp_path: Path, family: Family, steps: int
) -> None:
    whole = train(job(tmp_path / "whole", family))
    broken = job(tmp_path / "broken", family)
    with pytest.raises(KeyboardInterrupt):
        train(broken, reporter=Interrupts(steps))
    assert not broken.path.exists()
    torch.manual_seed(steps)  # the global random state takes no part
    assert train(broken).path.read_bytes() == whole.path.read_bytes()
    assert not broken.state_path.exists()


def test_the_seed_decides_weights_and_order(tmp_path: Path) -> None:
    first, again = (train(job(tmp_path / name)) for name in "ab")
    assert first.sha256 == again.sha256
    assert train(job(tmp_path / "c", seed=1)).sha256 != first.sha256


def test_every_epoch_takes_every_image_once_in_an_order_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    named = dataclasses.replace(bright_quarters(150, 1), labels=np.arange(150))
    taken: list[int] = []
    original = F.cross_entropy

    def records(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        taken.extend(labels.tolist())
        return original(logits, labels)

    monkeypatch.setattr(F, "cross_entropy", records)
    for seed in (0, 1):
        train(job(tmp_path / str(seed), train=named, test=named, classes=150, seed=seed))
    orders = np.array(taken).reshape(6, 150)  # three epochs of two seeds
    assert (np.sort(orders) == np.arange(150)).all()
    assert len({tuple(order) for order in orders}) == 6
    assert not (orders == np.arange(150)).all(1).any()


KILLED = """
import sys, time
from pathlib import Path
from bench.training.train import Announcer, train

class Stalls(Announcer):
    taken = 0
    def step(self):
        self.taken += 1
        if self.taken == int(sys.argv[3]):
            print("stalled", flush=True)
            time.sleep(60)

train("fashionmnist-local-conv-relu", data_dir=sys.argv[1], output=sys.argv[2], epochs=3,
      limit=330, reporter=Stalls())
print("done", flush=True)
"""


def test_kill_9_in_mid_epoch_then_the_same_command_gives_the_same_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(0)
    for split, count in (("train", 400), ("test", 50)):
        pixels = rng.integers(0, 256, (count, 28, 28), dtype=np.uint8)
        write_idx(tmp_path / "data", pixels, rng.integers(0, 10, count), split)
    folder = without_fingerprints(tmp_path / "registry", "fashionmnist", 400, 50)
    monkeypatch.setenv("BENCH_REGISTRY", str(folder))

    def command(output: str, stall_at: int) -> list[str]:
        script = [sys.executable, "-c", KILLED, str(tmp_path / "data"), str(tmp_path / output)]
        return [*script, str(stall_at)]

    process = subprocess.Popen(command("killed", 6), stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    with process.stdout:
        assert process.stdout.readline() == "stalled\n"  # step 6 of 4 an epoch: in the second
        process.send_signal(signal.SIGKILL)
        process.wait()
    place = Path("checkpoints") / "fashionmnist-local-conv-relu.safetensors"
    assert not (tmp_path / "killed" / place).exists()
    for output in ("killed", "whole"):
        subprocess.run(command(output, 0), check=True, stdout=subprocess.DEVNULL)
    killed, whole = ((tmp_path / o / place).read_bytes() for o in ("killed", "whole"))
    assert killed == whole


def without_fingerprints(folder: Path, dataset: str, train: int, test: int) -> Path:
    """Return a registry like the repository's whose data set takes any images, so many."""
    source = Path(__file__).parents[1] / "registry"
    folder.mkdir()
    for name in ("models", "protocols", "data", "checkpoints"):
        (folder / name).symlink_to(source / name)
    (folder / "datasets").mkdir()
    head, _, _ = (source / "datasets" / f"{dataset}.toml").read_text().partition("[fingerprints]")
    for split, count in (("train", train), ("test", test)):
        head = re.sub(rf"(?m)^{split}_count = .*$", f"{split}_count = {count}", head)
    (folder / "datasets" / f"{dataset}.toml").write_text(head)
    return folder


# ---------------------------------------------------------------- what is written


def test_metadata_log_and_curves(tmp_path: Path) -> None:
    made = job(tmp_path)
    trained = train(made)
    with safe_open(trained.path, framework="pt") as file:
        meta = json.loads(file.metadata()["bench"])
    assert meta == trained.meta
    assert meta["net"] == {"family": "local-conv", "deep": False, "relu": True, "kernel_size": None}
    assert meta["recipe"]["learning_rate"] == 0.02
    assert (meta["epochs"], meta["seed"], meta["train_count"]) == (3, 0, 150)
    assert meta["train_fingerprint"] == made.train.fingerprint
    with made.beside(".csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["epoch"] for row in rows] == ["1", "2", "3"]
    assert float(rows[-1]["test_accuracy"]) == meta["test_accuracy"]
    assert float(rows[-1]["train_loss"]) < float(rows[0]["train_loss"])
    assert made.beside(".png").read_bytes().startswith(b"\x89PNG")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["toy.csv", "toy.png", "toy.safetensors"]


def test_the_stated_accuracy_is_that_of_the_stored_weights(tmp_path: Path) -> None:
    made = job(tmp_path)
    trained = train(made)
    net = build_net(made.net, input_shape=(1, SIDE, SIDE), classes=CLASSES, seed=9)
    load_weights(net, read_checkpoint(trained.path).tensors, "toy")
    for split, key in ((made.test, "test_accuracy"), (made.train, "train_accuracy")):
        images = torch.from_numpy(split.images)[:, None].float() / 255
        right = (net(images).argmax(1).numpy() == split.labels).mean()
        assert trained.meta[key] == pytest.approx(100 * right)


def test_colour_images_are_taken_channels_last(tmp_path: Path) -> None:
    gray = [bright_quarters(n, n) for n in (40, 20)]
    colour = [dataclasses.replace(s, images=np.stack([s.images] * 3, -1)) for s in gray]
    made = job(tmp_path, train=colour[0], test=colour[1])
    assert train(made).meta["input_shape"] == [3, SIDE, SIDE]


def test_a_finished_checkpoint_is_reused(tmp_path: Path) -> None:
    first = train(job(tmp_path))
    again = train(job(tmp_path), reporter=Interrupts(1))
    assert again == dataclasses.replace(first, reused=True)


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({"recipe": {"learning_rate": 0.01}}, "recipe"),
        ({"recipe": {"epochs": 2}}, "epochs"),
        ({"seed": 1}, "seed"),
        ({"family": "full-conv"}, "net"),
        ({"train": bright_quarters(150, 3)}, "train_fingerprint"),
    ],
)
def test_a_checkpoint_of_other_settings_is_kept(
    tmp_path: Path, changes: dict[str, Any], key: str
) -> None:
    before = train(job(tmp_path)).path.read_bytes()
    other = job(tmp_path, **changes)
    with pytest.raises(BenchError, match=rf"expected {key} = .*--overwrite"):
        train(other)
    assert other.path.read_bytes() == before
    assert not train(other, overwrite=True).reused


def test_a_state_of_other_settings_is_not_gone_on_with(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        train(job(tmp_path), reporter=Interrupts(25))
    with pytest.raises(BenchError, match=r"expected seed = 1, got 0.*--overwrite"):
        train(job(tmp_path, seed=1))
    with pytest.raises(BenchError, match=r"at most 1 epochs, got 2 done"):
        train(job(tmp_path, recipe={"epochs": 1}))


def test_more_epochs_go_on_from_the_state(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        train(job(tmp_path / "a"), reporter=Interrupts(15))
    longer = train(job(tmp_path / "a", recipe={"epochs": 5}))
    whole = train(job(tmp_path / "b", recipe={"epochs": 5}))
    assert longer.sha256 == whole.sha256


def test_the_reporter_hears_of_every_step_and_epoch(tmp_path: Path) -> None:
    heard: list[object] = []

    class Listens(Reporter):
        def start(self, done: int, epochs: int, steps: int) -> None:
            heard.append((done, epochs, steps))

        def step(self) -> None:
            heard.append("step")

        def epoch(self, row: EpochRow) -> None:
            heard.append(row.epoch)

    train(job(tmp_path), reporter=Listens())
    assert heard == [(0, 3, 10), *[*["step"] * 10, 1], *[*["step"] * 10, 2], *[*["step"] * 10, 3]]


# ---------------------------------------------------------------- checkpoints


@pytest.fixture
def stored(tmp_path: Path) -> Path:
    net = nn.Linear(3, 2)
    write_checkpoint(tmp_path / "net.safetensors", net.state_dict(), {"seed": 0})
    return tmp_path / "net.safetensors"


def test_equal_weights_give_equal_bytes_and_their_hash(tmp_path: Path) -> None:
    tensors = {"b": torch.ones(2), "a": torch.arange(6.0).view(2, 3).t()}
    hashes = {write_checkpoint(tmp_path / name, tensors, {"x": 1, "y": 2}) for name in "pq"}
    hashes.add(write_checkpoint(tmp_path / "r", tensors, {"y": 2, "x": 1}))
    found = read_checkpoint(tmp_path / "p")
    assert hashes == {found.sha256}
    assert torch.equal(found.tensors["a"], tensors["a"])
    assert sorted(p.name for p in tmp_path.iterdir()) == ["p", "q", "r"]


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(BenchError, match=r"No such file.*gone.safetensors"):
        read_checkpoint(tmp_path / "gone.safetensors")


@pytest.mark.parametrize("keep", [0, 4, 60, -1])
def test_truncated_file(stored: Path, keep: int) -> None:
    stored.write_bytes(stored.read_bytes()[:keep])
    with pytest.raises(BenchError, match=r"whole safetensors file.*net.safetensors") as raised:
        read_checkpoint(stored)
    assert "\n" not in str(raised.value)


def test_wrong_hash(stored: Path) -> None:
    with pytest.raises(BenchError, match=r"expected SHA-256 0000.*got [0-9a-f]{64}"):
        read_checkpoint(stored, sha256="0" * 64)


def test_first_entry_of_another_shape_is_named(stored: Path) -> None:
    tensors = read_checkpoint(stored).tensors
    with pytest.raises(BenchError, match=r"shape \(2, 4\) for the entry 'weight', got \(2, 3\)"):
        load_weights(nn.Linear(4, 2), tensors, "net.safetensors")
    with pytest.raises(BenchError, match=r"expected the entry '0.weight', found none"):
        load_weights(nn.Sequential(nn.Linear(3, 2)), tensors, "net.safetensors")
    with pytest.raises(BenchError, match=r"expected no entry 'bias'"):
        load_weights(nn.Linear(3, 2, bias=False), tensors, "net.safetensors")


def test_state_dicts_of_torch_save_are_read(tmp_path: Path) -> None:
    net = nn.Linear(3, 2)
    for name, value in (("a.pt", net.state_dict()), ("b.pth", {"state_dict": net.state_dict()})):
        torch.save(value, tmp_path / name)
        found = read_checkpoint(tmp_path / name)
        assert torch.equal(found.tensors["weight"], net.weight)
    torch.save([1, 2], tmp_path / "c.pt")
    with pytest.raises(BenchError, match=r"expected a state dict.*list"):
        read_checkpoint(tmp_path / "c.pt")


class Evil:
    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (Path("pwned"),))


def test_a_pickle_that_runs_code_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save({"weight": Evil()}, "evil.pt")
    (tmp_path / "plain.pt").write_bytes(pickle.dumps(Evil()))
    for name in ("evil.pt", "plain.pt"):
        with pytest.raises(BenchError, match="weights_only") as raised:
            read_checkpoint(Path(name))
        assert "\n" not in str(raised.value)
    assert not (tmp_path / "pwned").exists()


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(BenchError, match=r"expected to write .*x.safetensors.*another place"):
        write_checkpoint(tmp_path / "file" / "x.safetensors", {}, {})


# ---------------------------------------------------------------- by name


def test_an_output_that_cannot_be_written_stops_before_training(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    pixels, labels = np.zeros((4, 28, 28), np.uint8), np.zeros(4, np.int64)
    for split in ("train", "test"):
        write_idx(tmp_path / "data", pixels, labels, split)
    started: list[str] = []

    class Listens(Announcer):
        def model(self, place: int, count: int, name: str) -> None:
            started.append(name)

    with pytest.raises(BenchError, match="file"):
        train_entries(
            "fashionmnist-local-conv-relu",
            data_dir=tmp_path / "data",
            output=tmp_path / "file" / "out",
            reporter=Listens(),
        )
    assert not started


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"model": "resnet50d"}, r"expected a net of the paper.*'resnet50d'"),
        ({"model": "fashionmnist-local-cnv-relu"}, r"did you mean 'fashionmnist-local-conv-relu'"),
        ({"epochs": 0}, r"--epochs of at least 1, got 0"),
        ({"limit": -1}, r"--limit of at least 1, got -1"),
        ({"lr": 0.0}, r"--lr above 0, got 0"),
        ({"until_lr": 2.0}, r"--until-lr above 0 and at most 1, got 2"),
        ({"seed": -1}, r"--seed of at least 0, got -1"),
        ({"data": "embedded"}, r"train split"),
        ({"data_dir": "nowhere"}, r"nowhere"),
    ],
)
def test_bad_requests(tmp_path: Path, options: dict[str, Any], message: str) -> None:
    options = {"model": "fashionmnist-local-conv-relu", "output": tmp_path} | options
    with pytest.raises(BenchError, match=message):
        train_entries(**options)
    assert not list(tmp_path.rglob("*.safetensors"))
