"""Records of looks at test images, and JSON."""

import json
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from tlsearch.records.tested import ClassFigure, TestFigure, TestGain, TestResult, WrongImage

FIGURE = TestFigure(
    finalist="trial 7",
    prediction="single crop",
    accuracies=(0.8, 0.82),
    mean=0.81,
    sd=0.0141,
    low=0.7,
    high=0.9,
    balanced_accuracy=0.8,
    macro_f1=0.79,
    log_loss=0.6,
    ece=0.05,
    ece_scaled=None,
    temperature=None,
    passes=1,
    seconds_per_image=0.002,
)
RESULT = TestResult(
    study="a b",
    look=1,
    at=datetime(2026, 3, 1, 12, 30, 0, 123, UTC),
    n_test=100,
    answer="trial 7",
    trained_on="train",
    seeds=(1, 2),
    figures=(FIGURE, replace(FIGURE, prediction="ensemble", accuracies=(0.83,), sd=None)),
    gains=(TestGain("default", 0.02, -0.01, 0.05, 0.2),),
    classes=(ClassFigure("ü\n😀", 50, 0.8, None, 0.0), ClassFigure("b", 50, 0.8, 0.5, 0.7)),
    confusion=((80, 20), (10, 90)),
    most_wrong=(WrongImage("b/\udcff.png", "b", "ü\n😀", 0.99),),
    images_sha256="ab" * 32,
)


def test_json_brings_the_same_record_back() -> None:
    assert TestResult.from_dict(json.loads(json.dumps(RESULT.as_dict()))) == RESULT


def test_a_figure_is_found_by_its_name() -> None:
    assert RESULT.figure("trial 7") is RESULT.figures[0]
    assert RESULT.figure("trial 7", "ensemble") is RESULT.figures[1]
    assert RESULT.figure("default") is None


@pytest.mark.parametrize("record", [TestFigure, TestGain, TestResult])
def test_pytest_takes_no_record_for_a_test(record: type) -> None:
    assert record.__dict__["__test__"] is False
