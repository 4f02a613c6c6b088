"""Where the best trials lie at the end of a range."""

import shlex
from dataclasses import replace

import pytest

from tlsearch.records import Hyperparameters, Range, TrialRecord
from tlsearch.report.range_ends import range_end_sentence, range_ends
from tlsearch.space import SearchSpace, resolve
from tlsearch.spec import SpaceSpec

N_BODY = 20
SPACE = resolve(SpaceSpec(), N_BODY, takes_head=True)
MIDDLE = Hyperparameters(2, 0.01, 0.2, 10, 0.003, 0.0003, 10)


def trials(
    *params: Hyperparameters, origin: str = "tpe", duplicate_of: int | None = None
) -> list[TrialRecord]:
    return [
        TrialRecord(n, "complete", 0.9, each, 3, 1.0, origin, duplicate_of=duplicate_of)
        for n, each in enumerate(params)
    ]


def five(**values: float) -> list[TrialRecord]:
    return trials(*[replace(MIDDLE, **values)] * 5)  # type: ignore[arg-type]


def test_nothing_is_said_of_trials_in_the_middle() -> None:
    assert SPACE.ranges["reinit_layers"] == Range(0, 5)
    assert range_ends(five(), SPACE) == ()


def test_the_upper_end_of_a_depth_and_next_to_it() -> None:
    at_end = [replace(MIDDLE, reinit_layers=n) for n in (5, 4, 5, 4, 5)]
    (found,) = range_ends(trials(*at_end), SPACE)
    assert (found.name, found.end, found.wider) == ("reinit_layers", "upper", (0, 8))
    sentence = range_end_sentence(found, "my photos")
    assert sentence.startswith(
        "the best 5 trials all have reinit_layers at or next to the upper end of its range [0, 5];"
    )
    command = shlex.split(sentence.partition("a wider one: ")[2])
    assert command == [
        *("tlsearch", "create", "--from", "my photos", "--set", "space.reinit_layers=[0,8]")
    ]
    one_within = [*at_end[:4], replace(MIDDLE, reinit_layers=3)]
    assert range_ends(trials(*one_within), SPACE) == ()
    assert range_ends(trials(*at_end[:4]), SPACE) == (), "four tell too little"


@pytest.mark.parametrize(
    ("name", "value", "end", "wider"),
    [
        ("high_lr", 0.1, "upper", (0.001, 0.3)),
        ("high_lr", 0.07, "upper", (0.001, 0.3)),
        ("high_lr", 0.0012, "lower", (0.001 / 3, 0.1)),
        ("beta", 1e-5, "lower", (1e-5 / 3, 1e-2)),
        ("alpha", 0.1, "upper", (1e-4, 0.3)),
        ("low_lr_ratio", 0.03, "lower", (0.01, 1.0)),
    ],
)
def test_rates_and_strengths(name: str, value: float, end: str, wider: tuple[float, float]) -> None:
    (found,) = range_ends(five(**{name: value}), SPACE)
    assert (found.name, found.end) == (name, end)
    assert found.wider == pytest.approx(wider)


def test_an_end_that_cannot_lie_further_out_is_no_finding() -> None:
    assert range_ends(five(low_layers=N_BODY, l2sp_layers=0, reinit_layers=0), SPACE) == ()
    assert range_ends(five(low_lr_ratio=1.0), SPACE) == ()


def test_values_without_effect_do_not_count() -> None:
    assert range_ends(five(l2sp_layers=0, alpha=0.1), SPACE) == ()
    assert range_ends(five(low_layers=0, low_lr_ratio=0.03), SPACE) == ()


def test_what_is_fixed_has_no_end() -> None:
    space = SearchSpace(N_BODY, dict(SPACE.ranges) | {"high_lr": Range(0.1, 0.1)})
    assert range_ends(five(high_lr=0.1), space) == ()


def test_fixed_features_and_duplicates_are_passed_over() -> None:
    floor = trials(replace(MIDDLE, reinit_layers=0), origin="fixed_features")
    copies = trials(MIDDLE, duplicate_of=3)
    found = range_ends([*floor, *copies, *five(reinit_layers=5)], SPACE)
    assert [each.n_trials for each in found] == [5]
