"""The picture of sample images with predictions."""

import io

import numpy as np
import pytest
from PIL import Image

from tests.unit.test_trial_pictures import NAMES
from tlsearch.report.sample_picture import evenly, sample_predictions


def drawn(n: int, wrong: bool, names: list[str]) -> np.ndarray:
    shades = np.random.default_rng(0).integers(0, 255, (n, 3), dtype=np.uint8)
    labels = [i % len(names) for i in range(n)]
    predictions = [(label + wrong) % len(names) for label in labels]

    def image(index: int) -> np.ndarray:
        return np.broadcast_to(shades[index], (1 + index % 40, 1 + 3 * index % 90, 3))

    data = sample_predictions(image, labels, predictions, names)
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB")).astype(int)


@pytest.mark.parametrize("n", [1, 3, 300])
def test_right_and_wrong_ones_look_different(n):
    right, wrong = drawn(n, False, ["cat", "dog"]), drawn(n, True, ["cat", "dog"])
    assert right.shape == wrong.shape
    assert not np.array_equal(right, wrong)
    green = (right[..., 1] > right[..., 0] + 60).sum() - (wrong[..., 1] > wrong[..., 0] + 60).sum()
    assert green > 0


def test_names_that_no_font_takes():
    assert drawn(len(NAMES), True, NAMES).std() > 0


def test_samples_are_from_all_over():
    assert evenly(3, 20) == [0, 1, 2]
    assert evenly(0, 20) == []
    assert evenly(100, 20) == list(range(0, 100, 5))
