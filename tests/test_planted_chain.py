"""The optimum of planted images through the whole chain: build, keep, attack, spectrum, block."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from conftest import REPOSITORY

from bench.board.claims.cells import read
from bench.entries import registry
from bench.entries.factors import PLANTED_EPOCH, Factors
from bench.studies.optimum import best, minima, rfc
from bench.studies.planted import Planted
from bench.studies.planted_data import splits
from bench.studies.run import StudyRun, run


@pytest.mark.slow
def test_the_optimum_scores_no_bias_through_the_whole_chain(tmp_path: Path) -> None:
    study = registry.study("planted-2026")
    output = tmp_path / "studies"
    asked = StudyRun(study.name, groups=("optimum",), output=str(output), submissions=None)
    assert run(asked) == 1
    found = read(output, study)
    assert found.stale == ()
    assert len(found.nets) == 18
    for net in found.nets.values():
        data = Planted.of(net.cell.factors, net.cell.seed)
        images, labels = data.split("test", 2000)
        optimum = best(data)
        right = (images.reshape(2000, -1) @ optimum.weights.T + optimum.bias).argmax(1) == labels
        rows, point = net.rows[0], net.points[0]
        assert (rows.kept == right[:100]).all()
        assert point["test_accuracy"] == pytest.approx(100 * right.mean(), abs=0.1)
        deltas = minima(optimum, images[:100], box=True)
        truth = rfc(deltas, data.shape)
        # image by image, and so in the mean: the bias is 0 within 1e-3
        np.testing.assert_allclose(rows.values["rfc"], truth, atol=1e-3)
        np.testing.assert_allclose(
            rows.values["l2"], np.linalg.norm(deltas, axis=1), rtol=2e-3, atol=2e-5
        )
        free = rfc(minima(optimum, images[:100], box=False), data.shape)
        np.testing.assert_allclose(rows.values["free_rfc"], free, atol=1e-3)


def test_an_epoch_is_as_long_with_fewer_images() -> None:
    factors = Factors.of(
        {
            "data": "planted",
            "family": "local-conv",
            "learning_rate": 0.1,
            "band": 0.5,
            "image_size": 8,
            "train_count": 500,
        }
    )
    train, test, classes = splits(factors, 3)
    assert (len(train.labels), train.shape, classes) == (PLANTED_EPOCH, (1, 8, 8), 4)
    images, labels = Planted(size=8, band=0.5, seed=3).split("train", 500)
    np.testing.assert_array_equal(train.images[500:1000], images[:, 0])
    np.testing.assert_array_equal(train.labels[-500:], labels)
    assert train.fingerprint != test.fingerprint
    colour = Factors.of({**factors.model_dump(exclude_none=True), "channels": 3})
    many, _, _ = splits(colour, 3)
    rgb, _ = Planted(size=8, channels=3, band=0.5, seed=3).split("train", 10)
    assert many.shape == (3, 8, 8)
    np.testing.assert_array_equal(many.images[:10].transpose(0, 3, 1, 2), rgb)
    # another seed has other images, unless the study fixes them
    fixed = Factors.of({**factors.model_dump(exclude_none=True), "data_seed": 3})
    np.testing.assert_array_equal(splits(fixed, 9)[0].images, train.images)
    assert not (splits(factors, 9)[0].images == train.images).all()


@pytest.mark.parametrize("band", [0.2, 1.2])
def test_the_committed_optimum_is_the_closed_form(band: float) -> None:
    study = registry.study("planted-2026")
    found = read(REPOSITORY / "submissions/studies", study)
    name = next(
        n
        for n, cell in found.planned.items()
        if cell.group == "optimum" and cell.factors.band == band and cell.seed == 1
    )
    data = Planted.of(found.planned[name].factors, 1)
    images, _ = data.split("test", 100)
    truth = rfc(minima(best(data), images, box=True), data.shape)
    rows = found.nets[name].rows[0]
    measured = rows.values["rfc"]
    assert len(measured) == 100
    assert measured == pytest.approx(truth, abs=1e-3)  # image by image
    assert measured[rows.kept].mean() == pytest.approx(truth[rows.kept].mean(), abs=2e-4)
