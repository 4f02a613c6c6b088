"""Several labels an image: loss, figures, values of images and the linear probe, by other means."""

import math

import numpy as np
import pytest
import torch
from scipy.special import expit
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, average_precision_score, f1_score, recall_score

from tlsearch.evaluation import (
    calibration_error,
    class_metrics_of_several,
    fit_temperature,
    metrics_of,
    most_wrong,
    tempered,
)
from tlsearch.evaluation.drawn import drawn_interval
from tlsearch.finetune.losses import build_loss
from tlsearch.finetune.several_labels import SeveralLabelsLoss, figures_of_several
from tlsearch.measures import (
    Features,
    fixed_features,
    linear_probe,
    measure_features,
    per_image,
    right_of,
    score_error,
)
from tlsearch.measures.folds import folds_of_several
from tlsearch.measures.several_labels import average_precision_of_each
from tlsearch.predict.mean import mean_of
from tlsearch.records.objective import OF_SEVERAL_LABELS, figure_of
from tlsearch.spec import parse_spec

N, K = 80, 5


def outputs_and_labels(seed: int, ties: bool = False) -> tuple[torch.Tensor, torch.Tensor]:
    """Outputs that are often right; no image has class 4, and class 3 is never predicted."""
    generator = torch.Generator().manual_seed(seed)
    labels = (torch.rand(N, K, generator=generator) < 0.3).long()
    labels[:, 4] = 0
    outputs = torch.randn(N, K, generator=generator) + 1.5 * labels - 0.5
    outputs[:, 3] -= 20
    return (outputs.mul(2).round() / 2 if ties else outputs), labels


def macro_precision(probabilities, labels) -> float:
    each = [
        average_precision_score(y, p)
        for p, y in zip(probabilities.T, labels.T, strict=True)
        if y.any()
    ]
    return float(np.mean(each))


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("seed", range(2))
def test_figures_are_scikit_learns(seed, ties):
    outputs, labels = outputs_and_labels(seed, ties)
    probabilities, true = outputs.double().sigmoid().numpy(), labels.numpy()
    predicted = probabilities >= 0.5
    found = figures_of_several(outputs, labels)
    present = [k for k in range(K) if true[:, k].any() or predicted[:, k].any()]
    expected = {
        "accuracy": accuracy_score(true, predicted),
        "macro_f1": f1_score(true[:, present], predicted[:, present], average="macro"),
        "log_loss": -np.log(np.where(true, probabilities, 1 - probabilities)).mean(),
        "mean_average_precision": macro_precision(probabilities, true),
    }
    assert found.as_attrs() == pytest.approx(
        {f"val_{name}": figure for name, figure in expected.items()}, abs=1e-6
    )
    for name in OF_SEVERAL_LABELS:
        values = per_image(name, probabilities, true)
        assert figure_of(name, float(values.mean())) == pytest.approx(expected[name], abs=1e-6)
    assert right_of(probabilities, true).mean() == expected["accuracy"]
    each = average_precision_of_each(probabilities, true)
    assert math.isnan(each[4])
    assert np.nanmean(each) == pytest.approx(expected["mean_average_precision"], abs=1e-9)


@pytest.mark.parametrize("ties", [False, True])
def test_an_images_value_is_the_slope_by_its_weight(ties):
    outputs, labels = outputs_and_labels(3, ties)
    probabilities, true = outputs.sigmoid().numpy(), labels.numpy()
    values = per_image("mean_average_precision", probabilities, true)

    def weighted(weights) -> float:
        each = [
            average_precision_score(true[:, k], probabilities[:, k], sample_weight=weights)
            for k in range(4)
        ]
        return float(np.mean(each))

    for image in (0, 7, 40):
        more, less = np.ones(N), np.ones(N)
        more[image] += 1e-4
        less[image] -= 1e-4
        slope = (weighted(more) - weighted(less)) / 2e-4
        assert values[image] - values.mean() == pytest.approx(N * slope, abs=1e-4)


def test_the_standard_error_is_that_of_drawn_images():
    outputs, labels = outputs_and_labels(5)
    probabilities, true = outputs.sigmoid().numpy(), labels.numpy()
    generator = np.random.default_rng(0)
    drawn = [generator.integers(0, N, N) for _ in range(120)]
    bootstrap = np.std([macro_precision(probabilities[i], true[i]) for i in drawn], ddof=1)
    error = score_error(per_image("mean_average_precision", probabilities, true))
    assert error == pytest.approx(bootstrap, rel=0.3)


def test_the_interval_is_that_of_drawn_images_and_models():
    outputs, labels = outputs_and_labels(5)
    true, generator = labels.numpy(), np.random.default_rng(2)
    models = [
        (outputs + 0.3 * torch.randn(N, K, generator=torch.Generator().manual_seed(k)))
        .double()
        .sigmoid()
        .numpy()
        for k in range(2)
    ]
    alone = drawn_interval(models[:1], true, 400)
    assert alone.mean == pytest.approx(macro_precision(models[0], true), abs=1e-9)
    drawn = [generator.integers(0, N, N) for _ in range(150)]
    by_hand = np.quantile([macro_precision(models[0][i], true[i]) for i in drawn], [0.025, 0.975])
    assert [alone.low, alone.high] == pytest.approx(by_hand, abs=0.04)
    assert drawn_interval(models[:1], true, 400) == alone
    both = drawn_interval(models, true, 400)
    assert both.mean == pytest.approx(np.mean([macro_precision(m, true) for m in models]))
    assert both.low < both.mean < both.high


def test_figures_of_a_test_are_those_of_each_label():
    outputs, labels = outputs_and_labels(1)
    shares, true = outputs.double().sigmoid().numpy(), labels.numpy()
    found, figures = metrics_of(shares, true), figures_of_several(outputs, labels)
    assert found.balanced_accuracy is None
    for name in ("accuracy", "macro_f1", "log_loss", "mean_average_precision"):
        assert getattr(found, name) == pytest.approx(getattr(figures, name), abs=1e-6)
    each = class_metrics_of_several([shares], true)
    predicted = shares >= 0.5
    for k in range(4):
        assert each[k].recall == recall_score(true[:, k], predicted[:, k])
        assert each[k].f1 == pytest.approx(f1_score(true[:, k], predicted[:, k]))
    assert (each[4].recall, each[4].average_precision, each[3].precision) == (None, None, None)
    wrong = most_wrong(shares, true, N)
    assert {*range(N)} - {*wrong} == {*np.flatnonzero(right_of(shares, true)).tolist()}
    # Answers that are too certain get a temperature above 1, and fit better with it.
    certain, few = expit(4 * outputs[:, :3].double().numpy()), true[:, :3]
    temperature = fit_temperature(certain, few)
    assert temperature > 2
    scaled = tempered(certain, temperature, several=True)
    assert calibration_error(scaled, few) < calibration_error(certain, few)


@pytest.mark.parametrize("gamma", [None, 0.0, 2.0])
@pytest.mark.parametrize("weighted", [False, True])
def test_losses_are_those_of_numpy(gamma, weighted):
    outputs, labels = outputs_and_labels(0)
    generator = torch.Generator().manual_seed(1)
    weights = torch.rand(2, K, generator=generator) + 0.5 if weighted else None
    soft = labels * 0.7 + 0.3 * labels.roll(1, 0)
    found = SeveralLabelsLoss(0.1, gamma, weights)(outputs, soft)
    y, p = soft.double().numpy() * 0.9 + 0.05, expit(outputs.double().numpy())
    w = np.ones((2, K)) if weights is None else weights.double().numpy()
    power = gamma or 0.0
    total = y * w[1] * (1 - p) ** power * np.log(p)
    total += (1 - y) * w[0] * p**power * np.log(1 - p)
    assert float(found) == pytest.approx(-total.sum(axis=1).mean(), rel=1e-4)


def test_weights_make_both_answers_of_a_class_count_alike():
    _, labels = outputs_and_labels(0)
    document = {"name": "a", "backbone": {"model": "resnet18"}}
    document |= {"data": {"path": "x.csv", "multi_label": True}}
    for kind in ("inverse", "effective"):
        spec = parse_spec({**document, "recipe": {"class_weights": kind}})
        loss = build_loss(spec.recipe, labels, K)
        assert isinstance(loss, SeveralLabelsLoss)
        assert loss.weights is not None
        having = labels.sum(dim=0)
        numbers = torch.stack([N - having, having])
        torch.testing.assert_close((loss.weights * numbers).sum(dim=0), torch.full((K,), float(N)))
        if kind == "inverse":
            torch.testing.assert_close(loss.weights[1, :4], N / (2 * having[:4]))


def test_the_probe_is_logistic_regression_of_each_class():
    generator = np.random.default_rng(0)
    values = generator.normal(size=(90, 6)).astype(np.float32)
    labels = (values @ generator.normal(size=(6, 3)) + generator.normal(size=(90, 3)) > 0.3) * 1
    probe = linear_probe(Features(values, labels), 3)
    scale = np.sqrt(((values - values.mean(0)) ** 2).mean())
    for k in range(3):
        theirs = LogisticRegression(C=probe.strength, tol=1e-8, max_iter=1000)
        theirs.fit((values - values.mean(0)) / scale, labels[:, k])
        ours = probe.logits(values)[:, k]
        assert ours == pytest.approx(
            theirs.decision_function((values - values.mean(0)) / scale), abs=0.02
        )
    again = linear_probe(Features(values, labels), 3)
    assert np.array_equal(again.weight, probe.weight)


@pytest.mark.parametrize("folds", [None, np.arange(90) % 3])
def test_fixed_features_are_measured_by_mean_average_precision(folds):
    generator = np.random.default_rng(2)
    values = generator.normal(size=(90, 6)).astype(np.float32)
    noisy = values[:, :3] + generator.normal(size=(90, 3))
    features = Features(values, (noisy > np.array([0.0, 0.5, 1.0])) * 1)
    train, val = features, features
    if folds is None:
        train, val = features.taken(np.arange(90) < 60), features.taken(np.arange(90) >= 60)
        logits = linear_probe(train, 3).logits(val.values)
    else:
        logits = np.empty((90, 3), np.float32)
        for fold in range(3):
            probe = linear_probe(features.taken(folds != fold), 3)
            logits[folds == fold] = probe.logits(values[folds == fold])
    found = fixed_features(train, val, folds=folds)
    assert found.score == pytest.approx(macro_precision(expit(logits), val.labels), abs=1e-6)
    assert found.val_accuracy == accuracy_score(val.labels, logits >= 0)
    measured = measure_features(train, val, folds=folds)
    assert measured.fixed.score == found.score
    assert measured.fisher is None
    assert measured.emd is measured.emd_similarity is None
    assert measured.emd_source.startswith("left out")


def test_folds_share_every_class():
    generator = np.random.default_rng(1)
    labels = (generator.random((60, 4)) < np.array([0.5, 0.3, 0.1, 0.0])) * 1
    labels[0] = (0, 0, 0, 1)
    folds = folds_of_several(labels, 5, generator)
    held = np.sum(folds, axis=0)
    assert held[0] == 0  # the only one of its class
    assert (held[1:] == 1).all()
    for number in range(3):
        shares = [labels[fold, number].sum() for fold in folds]
        assert max(shares) - min(shares) <= 2, number
    assert folds_of_several(np.eye(3, dtype=np.int64), 5, generator) == []


def test_the_mean_of_models_is_that_of_log_odds():
    generator = np.random.default_rng(0)
    logits = generator.normal(0, 2, (3, 10, 4))
    found = mean_of(*expit(logits).astype(np.float32), several=True)
    assert found == pytest.approx(expit(logits.mean(axis=0)), abs=1e-6)
