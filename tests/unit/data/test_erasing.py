"""Random erasing: the boxes, and what they do to a batch."""

import pytest
import torch
from torchvision.transforms.v2 import functional as F

from tlsearch.data.erasing import draw_erasures, erase
from tlsearch.spec import RecipeSpec

SIZE = 32


def boxes(n: int, erasing: float, seed: int = 0, epoch: int = 0) -> torch.Tensor:
    spec = RecipeSpec(image_size=SIZE, erasing=erasing, seed=seed)
    return draw_erasures(n, spec, epoch)


def test_erasing_is_torchvisions_erase():
    pixels = torch.randn(20, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(0))
    drawn = boxes(20, 0.5)
    erased = erase(pixels, drawn)
    assert 0 < (drawn[:, 2] > 0).sum() < 20
    for row, (top, left, height, width) in enumerate(drawn.tolist()):
        expected = F.erase(pixels[row], top, left, height, width, torch.zeros(3, 1, 1))
        assert torch.equal(erased[row], expected)


def test_so_many_are_erased_of_such_a_size():
    n = 20_000
    drawn = boxes(n, 0.25)
    chosen = drawn[drawn[:, 2] > 0]
    assert len(chosen) / n == pytest.approx(0.25, abs=4 * (0.25 * 0.75 / n) ** 0.5)
    assert (chosen[:, :2] >= 0).all()
    assert (chosen[:, :2] + chosen[:, 2:] <= SIZE).all()
    share = chosen[:, 2:].prod(1) / SIZE**2
    assert share.min() > 0.01
    assert share.max() < 0.36
    assert share.mean().item() == pytest.approx((0.02 + 0.33) / 2, abs=0.01)
    ratio = chosen[:, 3] / chosen[:, 2]
    assert 0.2 < ratio.min() < 0.5
    assert 2 < ratio.max() < 5


def test_without_it_nothing_is_erased():
    pixels = torch.randn(4, 3, SIZE, SIZE)
    assert torch.equal(erase(pixels, boxes(4, 0.0)), pixels)


def test_seed_and_epoch_decide():
    assert torch.equal(boxes(50, 0.5), boxes(50, 0.5))
    assert not torch.equal(boxes(50, 0.5), boxes(50, 0.5, epoch=1))
    assert not torch.equal(boxes(50, 0.5), boxes(50, 0.5, seed=1))
