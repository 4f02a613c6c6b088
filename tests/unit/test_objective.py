"""The objectives: the four figures against scikit-learn, and what is decided by them."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.metrics import balanced_accuracy_score, f1_score, log_loss

from tests.unit.test_estimate import SPACE, drawn, truth
from tests.unit.test_estimate import trial as trained
from tlsearch.errors import SpecError
from tlsearch.estimate import expected_scores
from tlsearch.estimate.link import linked_scores
from tlsearch.finetune.figures import figures_of
from tlsearch.measures import per_image, score_error
from tlsearch.records import EpochReport, TrialRecord, answer_words, lead_sentence, recommended
from tlsearch.records.objective import (
    OF_ONE_LABEL,
    Figures,
    OwnScore,
    figure_of,
    metric_name,
    score_of,
    shown,
    shown_gain,
    val_words,
)
from tlsearch.report.rising import rising, rising_sentence
from tlsearch.spec import in_words_of, parse_spec, spec_hash, to_toml_dict, with_legacy_values

N_CLASSES = 6
SPEC = {"name": "a", "data": {"path": "x"}, "backbone": {"model": "resnet18"}}


def outputs_and_labels(seed: int, n: int = 90) -> tuple[torch.Tensor, torch.Tensor]:
    """Outputs that are often right; class 4 has no image, class 5 is never predicted."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(0, 4, (n,), generator=generator)
    labels[:5] = 5
    outputs = torch.randn(n, N_CLASSES, generator=generator)
    outputs[torch.arange(n), labels] += 1.5
    outputs[:, 5] -= 20
    return outputs, labels


def by_scikit_learn(probabilities: np.ndarray, labels: np.ndarray) -> Figures:
    predicted = probabilities.argmax(axis=1)
    return Figures(
        float((predicted == labels).mean()),
        float(balanced_accuracy_score(labels, predicted)),
        float(f1_score(labels, predicted, average="macro", zero_division=0)),
        float(log_loss(labels, probabilities, labels=range(N_CLASSES))),
    )


@pytest.mark.filterwarnings("ignore:y_pred contains classes:UserWarning")
@pytest.mark.parametrize("seed", range(3))
def test_figures_are_scikit_learns(seed):
    outputs, labels = outputs_and_labels(seed)
    probabilities = outputs.double().softmax(1).numpy()
    expected = by_scikit_learn(probabilities, labels.numpy())
    found = figures_of(outputs, labels)
    assert found.accuracy == expected.accuracy
    assert found.mean_average_precision is None
    for name in OF_ONE_LABEL:
        assert getattr(found, name) == pytest.approx(getattr(expected, name), abs=1e-6), name
        values = per_image(name, probabilities.astype(np.float32), labels.numpy())
        figure = figure_of(name, float(values.mean()))
        assert figure == pytest.approx(getattr(expected, name), abs=1e-6), name


@pytest.mark.parametrize("name", OF_ONE_LABEL)
def test_the_values_of_images_tell_the_standard_error(name):
    """By leaving each image out: what changes is its value over n - 1, and so is the error."""
    outputs, labels = outputs_and_labels(0, 120)
    probabilities, n = outputs.softmax(1).numpy(), 120
    values = per_image(name, probabilities, labels.numpy())
    without = np.array(
        [
            per_image(name, np.delete(probabilities, i, 0), np.delete(labels.numpy(), i)).mean()
            for i in range(n)
        ]
    )
    jackknife = math.sqrt((n - 1) / n * float(((without - without.mean()) ** 2).sum()))
    assert score_error(values) == pytest.approx(jackknife, rel=0.2)
    assert score_error(values[:1]) == 1.0


def test_log_loss_alone_is_turned_round():
    for name in OF_ONE_LABEL:
        assert score_of(name, 0.3) == (-0.3 if name == "log_loss" else 0.3)
        assert figure_of(name, score_of(name, 0.3)) == 0.3
    assert (metric_name("log_loss"), metric_name("macro_f1")) == ("neg_log_loss", "val_macro_f1")
    assert shown("log_loss", -0.4123) == "0.412"
    assert shown("balanced_accuracy", 0.4123) == "41.2 %"
    assert (shown_gain("log_loss", -0.02), shown_gain("macro_f1", -0.02)) == ("0.020", "2.0 points")
    assert val_words("accuracy", 0.9, 0.9) == "90.0 %"
    assert val_words("log_loss", -0.41, 0.9) == "log loss 0.410, accuracy 90.0 %"


def test_an_epoch_of_an_earlier_version_has_accuracy_alone():
    old = EpochReport(epoch=1, val_accuracy=0.5, train_loss=1.0, seconds=2.0)
    assert (old.score("accuracy"), old.figures) == (0.5, None)
    with pytest.raises(ValueError, match="epoch 1 has no log_loss"):
        old.score("log_loss")
    figures = Figures(0.5, 0.4, 0.3, 1.2)
    new = EpochReport.of(1, figures, 1.0, 2.0)
    assert (new.score("log_loss"), new.figures) == (-1.2, figures)
    several = EpochReport.of(1, Figures(0.5, None, 0.3, 1.2, 0.7), 1.0, 2.0)
    assert several.score("mean_average_precision") == 0.7
    assert several.figures == Figures(0.5, None, 0.3, 1.2, 0.7)


def test_a_spec_without_an_objective_means_accuracy():
    plain, given = parse_spec(SPEC), parse_spec({**SPEC, "objective": "accuracy"})
    assert plain.objective == "accuracy"
    assert "objective" not in to_toml_dict(plain)
    assert spec_hash(plain) == spec_hash(given)
    other = parse_spec({**SPEC, "objective": "log_loss"})
    assert to_toml_dict(other)["objective"] == "log_loss"
    assert spec_hash(other) != spec_hash(plain)
    assert parse_spec(with_legacy_values(to_toml_dict(other))).objective == "log_loss"
    assert in_words_of(other, plain).objective == "accuracy"


def test_no_other_objective():
    with pytest.raises(SpecError, match=r'objective = "auc": must be one of') as caught:
        parse_spec({**SPEC, "objective": "auc"})
    assert "'log_loss'" in str(caught.value)


def test_the_defaults_of_several_labels():
    data: dict[str, object] = {"path": "x.csv", "multi_label": True}
    for columns in ({"labels": ["a", "b"]}, {"label_separator": ";"}):
        stored = to_toml_dict(parse_spec({**SPEC, "data": {**data, "columns": columns}}))
        assert to_toml_dict(parse_spec(stored)) == stored
    several = parse_spec({**SPEC, "data": data})
    assert several.objective == "mean_average_precision"
    assert (several.recipe.loss, several.recipe.label_smoothing) == ("bce", 0.0)
    assert several.measures.when == "worker"
    earlier = {**to_toml_dict(several), "measures": {"when": "off"}}
    assert parse_spec(earlier).measures.when == "off"
    assert parse_spec(to_toml_dict(several)) == several
    assert parse_spec(with_legacy_values(to_toml_dict(several))) == several


@pytest.mark.parametrize(
    ("document", "said"),
    [
        ({"objective": "accuracy"}, "is of one label an image; where data.multi_label = true give"),
        ({"recipe": {"loss": "cross_entropy"}}, 'set "bce" or "focal"'),
        ({"recipe": {"sampling": "balanced"}}, "lets each class come as often"),
        ({"measures": {"source": "photos"}}, "measures.source and prior.emd_weight are of"),
        ({"prior": {"emd_weight": 0.1}}, "classes that share no image; leave them out"),
        ({"budget": {"target_accuracy": 0.9}}, "budget.target_accuracy is of one label"),
        ({"data": {"path": "x"}, "recipe": {"loss": "bce"}}, "is of several labels an image"),
        ({"data": {"path": "x"}, "objective": "mean_average_precision"}, "of several labels"),
    ],
)
def test_what_is_of_the_other_number_of_labels_is_refused(document, said):
    with pytest.raises(SpecError, match=said):
        parse_spec({**SPEC, "data": {"path": "x.csv", "multi_label": True}, **document})


def by_log_loss(
    number: int, loss: float, mean: float | None = None, error: float | None = 0.02, **more
) -> TrialRecord:
    """A complete trial of a search for the least log loss."""
    own = OwnScore("log_loss", -loss, error, mean_with_fixed_features=mean, lead_error=0.01)
    return TrialRecord(number, "complete", 0.9, None, 4, 9.0, own=own, **more)


FLOOR = by_log_loss(0, 0.5, origin="fixed_features")


@pytest.mark.parametrize(
    ("loss", "mean", "kind", "reached"),
    [
        (0.40, None, "trial", 0.40),
        (0.49, None, "fixed_features", 0.50),
        (0.60, None, "fixed_features", 0.50),
        (0.40, -0.41, "mean", 0.41),
        (0.40, -0.43, "trial", 0.40),
    ],
)
def test_recommended_by_log_loss(loss, mean, kind, reached):
    found = recommended(FLOOR, by_log_loss(3, loss, mean), 200)
    assert found is not None
    assert (found.kind, found.val_objective) == (kind, reached)
    assert f"log loss {reached:.3f} on validation" in answer_words(found)
    if kind == "fixed_features":
        assert "the best is 0." in (lead_sentence(found.lead) or "")


def test_the_expected_log_loss_takes_the_luck_out():
    """Losses with a known truth: nearer to it than what was seen, and never below 0."""
    seen_errors, errors = [], []
    for seed in range(6):
        generator = np.random.default_rng(seed)
        trials = []
        for number in range(20):
            params = drawn(generator)
            seen = max(0.01, 1 - truth(params) + generator.normal(0, 0.05))
            own = OwnScore("log_loss", -seen, 0.05)
            trials.append(replace(trained(number, params, 0.8), own=own))
        best = max(trials, key=lambda each: each.score or -math.inf)
        assert best.params is not None
        found = expected_scores(trials, SPACE, 200)
        assert all(each.score < 0 and each.sd > 0.05 for each in found.values())
        loss = 1 - truth(best.params)
        seen_errors.append(abs(-(best.score or 0.0) - loss))
        errors.append(abs(-found[best.number].score - loss))
    assert np.mean(errors) < np.mean(seen_errors)


@pytest.mark.parametrize("name", ["balanced_accuracy", "macro_f1", "log_loss"])
def test_a_link_leads_back(name):
    scores = np.array([score_of(name, figure) for figure in (0.0, 0.2, 0.9, 1.0)])
    linked = linked_scores(name, scores, [None, 0.01, 0.02, 0.0], 1000)
    assert np.isfinite(linked.values).all()
    assert (linked.noise > 0).all()
    assert linked.back(linked.values) == pytest.approx(scores, abs=1e-3)
    assert (np.diff(linked.values) < 0).all() == (name == "log_loss")


def test_a_falling_log_loss_asks_for_more_epochs():
    endings = [[loss - 0.01 * n for loss in (-0.5, -0.4, -0.3)] for n in range(5)]
    found = rising(endings, 20, 200, 8, "log_loss")
    assert found is not None
    assert found.beyond_noise
    assert "log loss -0.1 an epoch" in (rising_sentence(found) or "")
