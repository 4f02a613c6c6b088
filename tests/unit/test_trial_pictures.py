"""Pictures of a trial."""

import io
import subprocess
import sys
import warnings

import numpy as np
import pytest
from PIL import Image

from tlsearch.report.trial_pictures import confusion_matrix, learning_curve


@pytest.fixture(autouse=True)
def _no_warnings():
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        warnings.simplefilter("error", RuntimeWarning)
        yield


def picture(data: bytes) -> np.ndarray:
    image = Image.open(io.BytesIO(data))
    assert image.format == "PNG"
    return np.asarray(image.convert("RGB")).astype(int)


@pytest.mark.parametrize("n", [2, 10, 30, 31, 257, 1000])
def test_any_number_of_classes(n: int) -> None:
    rng = np.random.default_rng(n)
    labels = rng.integers(0, n, 5 * n)
    predictions = np.where(rng.random(5 * n) < 0.7, labels, rng.integers(0, n, 5 * n))
    shown = picture(confusion_matrix(labels, predictions, [f"class {i}" for i in range(n)]))
    assert 300 < shown.shape[0] < 1500
    assert 300 < shown.shape[1] < 1600


@pytest.mark.parametrize("n", [3, 40])
def test_classes_without_images_or_errors(n: int) -> None:
    names = ["$x", "y_{", "a name that is much too long to stand here", *map(str, range(n - 3))]
    assert picture(confusion_matrix([0, 1], [0, 1], names)).std() > 0
    assert picture(confusion_matrix([], [], names)).std() > 0
    assert picture(confusion_matrix([0], [2], names, title="cost: 5 $ and _")).std() > 0
    assert picture(confusion_matrix([0], [2], ["猫", "犬", *names[2:]])).std() > 0


def test_rows_are_normalised() -> None:
    """A class with few images is drawn as dark as one with many."""
    labels = [0] * 100 + [1] * 2
    right = picture(confusion_matrix(labels, labels, ["many", "few"]))
    dark = (right.sum(axis=2) < 200) & (right[..., 2] > right[..., 0] + 50)
    rows = np.flatnonzero(dark.sum(axis=1) > 50)
    assert len(rows) > 150  # both cells of the diagonal
    wrong = picture(confusion_matrix(labels, [1 - label for label in labels], ["many", "few"]))
    assert not np.array_equal(right, wrong)


def test_learning_curves() -> None:
    others = [[0.1, 0.2, 0.3], [0.2], [], [0.3, 0.1]]
    alone = picture(learning_curve([0.2, 0.4, 0.5], []))
    among = picture(learning_curve([0.2, 0.4, 0.5], others, title="trial 3: $0.5"))
    assert alone.shape == among.shape
    assert not np.array_equal(alone, among)
    for curve, rest in (([], []), ([0.5], [[], []]), ([], [[0.1]]), ([0.5], [[0.2] * 300])):
        assert picture(learning_curve(curve, rest)).std() > 0


def test_no_global_state_of_matplotlib() -> None:
    code = (
        "import sys; from tlsearch.report.trial_pictures import *;"
        "learning_curve([.1], [[.2]]); confusion_matrix([0], [1], 'ab');"
        "assert 'matplotlib.pyplot' not in sys.modules; assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
