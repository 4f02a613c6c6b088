"""What is recommended of fixed features, the best trial, and the mean of both."""

from dataclasses import replace

import pytest

from tlsearch.records import TrialRecord, answer_of, answer_words, lead_sentence, recommended
from tlsearch.records.answer import lead_of
from tlsearch.records.precision import standard_error

N = 200
FLOOR = TrialRecord(0, "complete", 0.80, None, 0, 3.0, origin="fixed_features")


def trial(
    val: float, mean: float | None = None, alone: tuple[int, int] | None = None
) -> TrialRecord:
    return TrialRecord(
        7, "complete", val, None, 10, 9.0, "tpe", mean_with_fixed_features=mean, right_alone=alone
    )


@pytest.mark.parametrize(
    ("best", "kind", "val_accuracy"),
    [
        (None, "fixed_features", 0.80),
        (trial(0.79), "fixed_features", 0.80),
        (trial(0.82), "fixed_features", 0.80),
        (trial(0.90), "trial", 0.90),
        (trial(0.82, mean=0.83), "mean", 0.83),
        (trial(0.82, mean=0.81), "mean", 0.81),
        (trial(0.79, mean=0.81), "mean", 0.81),
        (trial(0.79, mean=0.80), "fixed_features", 0.80),
        (trial(0.82, mean=0.79), "fixed_features", 0.80),
        (trial(0.90, mean=0.85), "trial", 0.90),
        (trial(0.90, mean=0.89), "mean", 0.89),
    ],
)
def test_recommended(best, kind, val_accuracy):
    found = recommended(FLOOR, best, N)
    assert found is not None
    assert (found.kind, found.val_accuracy) == (kind, val_accuracy)
    expected = {"fixed_features": (0,), "trial": (7,), "mean": (0, 7)}
    assert found.trials == expected[kind]


def test_without_a_floor_the_best_trial():
    found = recommended(None, trial(0.5), N)
    assert found is not None
    assert (found.kind, found.trials, found.lead) == ("trial", (7,), None)
    assert recommended(None, None, N) is None


def test_the_best_fine_tuned_trial_counts_whatever_the_rank_of_the_floor():
    ranked = [replace(FLOOR, val_accuracy=0.95), trial(0.9), replace(trial(0.8), number=3)]
    found = answer_of(ranked, N)
    assert found is not None
    assert (found.kind, found.trials) == ("fixed_features", (0,))
    assert found.lead is not None
    assert found.lead.gain == pytest.approx(-0.05)


def test_paired_images_tell_more_than_two_accuracies():
    """The two agree on most images, so a small lead is clear."""
    alone, paired = trial(0.84), trial(0.84, alone=(9, 1))
    assert not lead_of(alone, FLOOR, N).is_clear
    lead = lead_of(paired, FLOOR, N)
    assert lead.error == pytest.approx((10 - 64 / N) ** 0.5 / N)
    assert lead.is_clear
    found = recommended(FLOOR, paired, N)
    assert found is not None
    assert found.kind == "trial"


def test_predictions_that_are_all_alike_are_no_certainty():
    lead = lead_of(trial(0.80, alone=(0, 0)), FLOOR, N)
    assert (lead.gain, lead.error, lead.is_clear) == (0, 1 / N, False)


def test_a_few_images_are_no_certainty():
    assert standard_error(1.0, 4) > 0.15
    assert standard_error(0.5, 10_000) == pytest.approx(0.005, abs=1e-5)


def test_words():
    found = recommended(FLOOR, trial(0.82, mean=0.835, alone=(20, 16)), N)
    assert found is not None
    assert answer_words(found) == ("the mean of fixed features and trial 7, 83.5 % on validation")
    assert lead_sentence(found.lead) == (
        "no trial is ahead of fixed features by more than 200 validation images can tell: "
        "the best is 2.0 points ahead, +- 3.0 points"
    )
    clear = recommended(FLOOR, trial(0.95), N)
    assert clear is not None
    assert lead_sentence(clear.lead) is None
    assert "trial 7, 95.0 %" in answer_words(clear)
