"""Random crops, against those of torchvision."""

import math

import numpy as np
import pytest
import torch
from torchvision.transforms import RandomResizedCrop

from tlsearch.data.crops import random_boxes
from tlsearch.records import Range


def boxes(height: int, width: int, scale: Range, ratio: Range, n: int = 6000) -> np.ndarray:
    generator = torch.Generator().manual_seed(1)
    sizes = torch.tensor([[height, width]]).expand(n, 2)
    return random_boxes(sizes, scale, ratio, generator).numpy()


def torchvision_boxes(height: int, width: int, scale: Range, ratio: Range, n: int = 6000):
    image = torch.zeros(3, height, width)
    pair = ([scale.low, scale.high], [ratio.low, ratio.high])
    return np.array([RandomResizedCrop.get_params(image, *pair) for _ in range(n)])


@pytest.mark.parametrize(("height", "width"), [(73, 73), (73, 146), (120, 73)])
def test_boxes_are_spread_as_those_of_torchvision(height, width):
    scale, ratio = Range(0.35, 1.0), Range(0.75, 4 / 3)
    torch.manual_seed(0)
    ours = boxes(height, width, scale, ratio)
    theirs = torchvision_boxes(height, width, scale, ratio)
    for describe in (
        lambda b: b[:, 2] * b[:, 3],
        lambda b: np.log(b[:, 3] / b[:, 2]),
        lambda b: b[:, 0] + b[:, 2] / 2,
        lambda b: b[:, 1] + b[:, 3] / 2,
        lambda b: b[:, 0] * b[:, 3],
    ):
        one, other = np.sort(describe(ours)), np.sort(describe(theirs))
        grid = np.concatenate([one, other])
        gap = np.abs(
            np.searchsorted(one, grid, "right") - np.searchsorted(other, grid, "right")
        ).max() / len(one)
        assert gap < 1.95 * math.sqrt(2 / len(one))  # Kolmogorov-Smirnov, p = 0.001


@pytest.mark.parametrize(("height", "width"), [(40, 20), (20, 40), (33, 33), (1, 1), (1, 7)])
def test_boxes_are_inside_and_as_asked(height, width):
    top, left, tall, wide = boxes(height, width, Range(0.1, 0.5), Range(0.5, 2)).T
    assert top.min() >= 0
    assert left.min() >= 0
    assert tall.min() >= 1
    assert wide.min() >= 1
    assert (top + tall).max() <= height
    assert (left + wide).max() <= width
    if min(height, width) > 9:
        assert (top + tall).max() == height
        assert (left + wide).max() == width
        rounding = 0.5 / tall.min() + 0.5 / wide.min()
        assert np.all(tall * wide <= 0.5 * height * width * (1 + 2 * rounding))
        assert np.all(tall * wide >= 0.1 * height * width * (1 - 2 * rounding))
        assert np.all(np.abs(np.log(wide / tall)) <= np.log(2) + 2 * rounding)


@pytest.mark.parametrize(("height", "width"), [(20, 40), (40, 20), (20, 31), (31, 20)])
@pytest.mark.parametrize("ratio", [Range(0.75, 4 / 3), Range(1, 1)])
def test_where_nothing_fits_the_fallback_is_that_of_torchvision(height, width, ratio):
    ours = boxes(height, width, Range(1, 1), ratio, n=50)
    theirs = torchvision_boxes(height, width, Range(1, 1), ratio, n=1)
    assert np.array_equal(ours, np.repeat(theirs, 50, axis=0))
