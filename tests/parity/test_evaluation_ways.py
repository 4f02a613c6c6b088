"""Figures and costs of each way of predicting."""

from statistics import stdev

import numpy as np
import pytest
from scipy.special import softmax
from scipy.stats import gmean

from tlsearch.evaluation import (
    CropPredictions,
    Predicted,
    figure_of,
    fit_temperature,
    interval_of,
    metrics_of,
    right_of,
    ways_beside,
    ways_of,
)

N, N_VAL, CLASSES, VIEWS = 120, 80, 4, 10


def crops(rng, labels, better=1.0):
    def shares():
        logits = rng.normal(size=(len(labels), CLASSES))
        logits[np.arange(len(labels)), labels] += better
        return softmax(logits, axis=1)

    return CropPredictions(shares(), shares(), VIEWS, 0.002, 0.02)


@pytest.fixture
def labels():
    return np.arange(N) % CLASSES, np.arange(N_VAL) % CLASSES


@pytest.fixture
def models(labels):
    rng = np.random.default_rng(0)
    return [Predicted(crops(rng, labels[0]), crops(rng, labels[1])) for _ in range(3)]


def by_name(ways):
    return {way.prediction: way for way in ways}


def test_the_ways_of_three_models_and_what_they_cost(models):
    ways = by_name(ways_of(models))
    assert list(ways) == ["single crop", "10-crop", "ensemble", "ensemble, 10-crop"]
    assert [way.passes for way in ways.values()] == [1, 10, 3, 30]
    assert [way.seconds for way in ways.values()] == pytest.approx([0.002, 0.02, 0.006, 0.06])
    np.testing.assert_allclose(
        ways["ensemble, 10-crop"].test[0], sum(m.test.several for m in models) / 3
    )
    np.testing.assert_allclose(ways["ensemble"].val[0], sum(m.val.single for m in models) / 3)


def test_one_model_has_no_ensemble(models):
    assert list(by_name(ways_of(models[:1]))) == ["single crop", "10-crop"]


def test_means_are_geometric_and_count_fixed_features_once(models, labels):
    rng = np.random.default_rng(1)
    fixed = Predicted(crops(rng, labels[0]), crops(rng, labels[1]))
    ways = by_name(ways_beside(fixed, models))
    assert [way.passes for way in ways.values()] == [2, 20, 4, 40]
    assert [way.seconds for way in ways.values()] == pytest.approx([0.004, 0.04, 0.008, 0.08])
    for model, found in zip(models, ways["10-crop"].test, strict=True):
        mean = gmean([fixed.test.several, model.test.several], axis=0)
        np.testing.assert_allclose(found, mean / mean.sum(1, keepdims=True), rtol=1e-5)
    assert len(ways["single crop"].val) == 3


def test_figures_are_means_over_the_models(models, labels):
    single = by_name(ways_of(models))["single crop"]
    found = figure_of("default", single, *labels)
    each = [metrics_of(m.test.single, labels[0]) for m in models]
    assert found.accuracies == tuple(m.accuracy for m in each)
    assert found.mean == pytest.approx(np.mean(found.accuracies))
    assert found.sd == pytest.approx(stdev(found.accuracies))
    for name in ("balanced_accuracy", "macro_f1", "log_loss", "ece"):
        assert getattr(found, name) == pytest.approx(np.mean([getattr(m, name) for m in each]))
    interval = interval_of(np.stack([m.test.single.argmax(1) == labels[0] for m in models]))
    assert (found.low, found.high) == (interval.low, interval.high)
    scales = [fit_temperature(m.val.single, labels[1]) for m in models]
    assert found.temperature == pytest.approx(np.mean(scales))
    assert found.ece_scaled is not None
    assert right_of(single.test, labels[0]).mean() == pytest.approx(found.mean)


def test_validation_images_that_were_trained_on_give_no_temperature(models, labels):
    trained = [Predicted(model.test, None) for model in models]
    for way in ways_of(trained):
        found = figure_of("default", way, *labels)
        assert (found.temperature, found.ece_scaled) == (None, None)
    together = figure_of("default", by_name(ways_of(trained))["ensemble"], *labels)
    assert (together.sd, len(together.accuracies)) == (None, 1)
