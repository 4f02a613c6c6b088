"""The mean of fixed features and the winner among the finalists, and when it is recommended."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from tlsearch.records import FIXED_FEATURES, Hyperparameters
from tlsearch.records.finals import MEAN, Finals, SeedRun
from tlsearch.records.finals_plan import CANDIDATE_RUN, Candidate, FinalsPlan
from tlsearch.report.finals import EndedRun, finals_of
from tlsearch.studies import contenders

N = 200
PLAIN = Hyperparameters(1, 0.01, 1.0, 0, 0.0, 1e-4, 0)
PLAN = FinalsPlan(
    candidates=(Candidate(7, replace(PLAIN, high_lr=0.03)),),
    seeds=(1, 2),
    search_seed=0,
    default=PLAIN,
    rates=(),
    seen=(0.01, 0.5),
    floor=PLAIN,
    settled=True,
    default_rate=0.01,
)

Right = NDArray[np.bool_]


def right(n: int, shift: int = 0) -> Right:
    return np.roll(np.arange(N) < n, shift)


def ended(
    name: str, origin: str, trial: int, seed: int, ours: Right, mean: Right | None
) -> EndedRun:
    run = SeedRun(trial, seed, float(ours.mean()), 1.0)
    return EndedRun(name, origin, run, right=ours, mean_right=mean)


def finals(floor: Right, ours: Right, default: Right, mean: Right | None) -> Finals:
    runs = [ended("fixed features", FIXED_FEATURES, 0, 1, floor, None)]
    for seed in (1, 2):
        runs.append(ended("trial 7", CANDIDATE_RUN, 2 * seed, seed, ours, mean))
        runs.append(ended("default", "default", 2 * seed + 1, seed, default, mean))
    return finals_of("s", PLAN, runs)


@pytest.mark.parametrize("n", [155, 160, 170])  # a standard error is 5.7 images
def test_one_that_beats_fixed_features_and_is_not_behind_is_recommended(n: int):
    found = finals(right(120), right(160), right(158), right(n))
    mean = found.finalists[-1]
    assert (mean.name, mean.kind, mean.params, mean.planned) == (MEAN, "mean", None, 2)
    assert [run.val_accuracy for run in mean.runs] == [n / N] * 2
    assert [run.trial for run in mean.runs] == [2, 4]  # those of the winner's networks
    assert found.recommended == MEAN
    assert found.why is not None
    assert f"{(n - 120) / 2:.1f} points ahead of fixed features" in found.why
    assert "of one network alone: default, since trial 7" in found.why
    assert [each.name for each in contenders.tested_finalists(found)] == [
        "trial 7",
        "default",
        "fixed features",
    ]


@pytest.mark.parametrize(
    ("mean", "answer"),
    [
        (right(154), "default"),
        (right(0), "default"),
    ],
)
def test_one_that_is_behind_is_shown(mean: Right, answer: str):
    found = finals(right(120), right(160), right(158), mean)
    assert found.finalists[-1].name == MEAN
    assert found.recommended == answer


def test_one_that_does_not_clearly_beat_fixed_features_is_shown():
    found = finals(right(150), right(150, 3), right(150, 2), right(152, 1))
    assert found.finalists[-1].name == MEAN
    assert found.recommended == "fixed features"


def test_without_its_figures_there_is_none():
    found = finals(right(140), right(160), right(158), None)
    assert [each.name for each in found.finalists] == ["trial 7", "default", "fixed features"]
    assert found.recommended == "default"


def test_a_seed_without_its_figure_leaves_none():
    floor, ours = right(140), right(160)
    runs = [
        ended("fixed features", FIXED_FEATURES, 0, 1, floor, None),
        ended("trial 7", CANDIDATE_RUN, 1, 1, ours, right(190)),
        ended("trial 7", CANDIDATE_RUN, 2, 2, ours, None),
        ended("default", "default", 3, 1, ours, None),
        ended("default", "default", 4, 2, ours, None),
    ]
    assert MEAN not in [each.name for each in finals_of("s", PLAN, runs).finalists]
