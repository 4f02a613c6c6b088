"""What `tlsearch test` prints."""

import json
from dataclasses import replace

import pytest

from tests.unit.test_tested import FIGURE, RESULT
from tlsearch.cli.test_table import later_line, result_lines
from tlsearch.records.tested import ClassFigure, TestGain, TestResult


def test_a_look_in_full() -> None:
    lines = result_lines(RESULT)
    assert lines[0].startswith("a b: 100 test images, look 1 of 2026-03-01")
    assert "trial 7 was recommended before (trained on train, seeds 1, 2)" in lines[0]
    shown = "trial 7 single crop 2 81.0 % 1.4 70.0 to 90.0 80.0 % 0.790 0.600 5.0 % - 1 2.00"
    assert " ".join(lines[2].split()) == shown
    text = "\n".join(lines)
    assert "trial 7 is 2.0 points ahead of default (95 % interval -1.0 to +5.0, p = 0.200)" in text
    assert "taken for b (20 of 100)" in text
    assert "honest" not in text


@pytest.mark.parametrize(
    ("gain", "words"), [(-0.02, "2.0 points behind default"), (0.0, "as accurate as default")]
)
def test_no_gain_is_said_in_words(gain: float, words: str) -> None:
    found = replace(RESULT, gains=(TestGain("default", gain, -0.05, 0.01, 0.2),))
    assert f"trial 7 is {words} (" in "\n".join(result_lines(found))


def test_a_p_value_is_never_zero() -> None:
    found = replace(RESULT, gains=(TestGain("default", 0.02, 0.01, 0.03, 0.0004),))
    assert "+3.0, p < 0.001)" in "\n".join(result_lines(found))


def test_a_later_look_says_what_it_is() -> None:
    second = replace(RESULT, look=2)
    assert result_lines(second)[1].startswith("look 2: no longer an honest figure")
    assert later_line(second).startswith("looked at again: look 2 of 2026-03-01")


def test_names_and_numbers_of_any_kind_fit_on_lines() -> None:
    """Names that break lines are written as escapes; of many classes the worst are shown."""
    classes = tuple(ClassFigure(f"c\n{i}", 5, i / 50, None, 0.0) for i in range(40))
    zeros = tuple((0,) * 40 for _ in classes)
    found = replace(RESULT, classes=classes, confusion=zeros, figures=(replace(FIGURE, sd=None),))
    lines = result_lines(found)
    assert "the 8 classes of 40 with the lowest recall:" in lines
    assert sum(line.lstrip().startswith("c\\n") for line in lines) == 8
    assert not any("\n" in line for line in lines)
    assert not any("most often confused" in line for line in lines)


def test_several_labels_have_their_own_figures() -> None:
    figure = replace(FIGURE, balanced_accuracy=None, average_precisions=(0.8, 0.82))
    classes = (ClassFigure("a", 5, 0.4, 0.5, 0.44, 0.7), ClassFigure("b", 0, None, None, 0.0))
    found = replace(RESULT, figures=(figure,), classes=classes, confusion=())
    text = "\n".join(" ".join(line.split()) for line in result_lines(found))
    assert "models mAP sd 95 % interval all right macro F1" in text
    assert "trial 7 single crop 2 81.0 % 1.4 70.0 to 90.0 81.0 % 0.790" in text
    assert "class images average precision recall precision F1" in text
    assert "a 5 70.0 % 40.0 % 50.0 % 0.440" in text
    assert "b 0 - - - 0.000" in text
    assert TestResult.from_dict(json.loads(json.dumps(found.as_dict()))) == found
