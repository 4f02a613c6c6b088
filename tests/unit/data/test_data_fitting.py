"""Sizes and centre crops are those of timm's own evaluation transform, to the last bit."""

import numpy as np
import pytest
import torch
from PIL import Image
from timm.data import create_transform

from tlsearch.backbones.exported import crop_share
from tlsearch.data import fitting, stored_size
from tlsearch.data.crops import centred
from tlsearch.data.fitting import before_centre, fit, fitted_size
from tlsearch.records.resize import Resize

RNG = np.random.default_rng(0)
RANDOM = [(int(w), int(h)) for w, h in RNG.integers(1, 260, (15, 2))]
ODD = [(1, 900), (900, 1), (30, 601), (601, 30), (45, 90), (91, 45), (45, 93), (45, 45)]


def picture(size: tuple[int, int]) -> Image.Image:
    return Image.fromarray(RNG.integers(0, 256, (size[1], size[0], 3), dtype=np.uint8))


def centre_of(image: Image.Image, size: int, short: int, resize: Resize = "timm") -> np.ndarray:
    pixels = np.asarray(fit(image, short, resize))
    top, left = (before_centre(side - size, resize) for side in pixels.shape[:2])
    return pixels[top : top + size, left : left + size]


def by_timm(image: Image.Image, size: int, short: int) -> np.ndarray:
    transform = create_transform(
        (3, size, size),
        interpolation="bicubic",
        crop_pct=crop_share(size, short),
        mean=(0, 0, 0),
        std=(1, 1, 1),
    )
    found: np.ndarray = (transform(image).numpy().transpose(1, 2, 0) * 255).round()
    return found


@pytest.mark.parametrize(
    ("size", "crop"), [(32, 0.875), (33, 0.7), (64, 1.0), (64, 0.875), (35, 0.95), (37, 0.8)]
)
def test_any_shape_has_the_pixels_of_timm(size: int, crop: float):
    short = stored_size(size, crop)
    for shape in [*RANDOM, *ODD]:
        image = picture(shape)
        kept = fit(image, short, "timm")
        assert kept.size == fitted_size(*shape, short, "timm")
        assert min(kept.size) == short
        assert max(kept.size) <= 2 * short
        assert np.array_equal(centre_of(image, size, short), by_timm(image, size, short)), shape


def test_an_image_that_would_become_huge_is_cut_first(monkeypatch: pytest.MonkeyPatch):
    """It looks the same, though not to the last grey level."""
    image = Image.effect_noise((37, 351), 60).convert("RGB")
    whole = centre_of(image, 64, 74)
    monkeypatch.setattr(fitting, "_LARGEST_WHOLE", 1000)
    cut = centre_of(image, 64, 74)
    difference = np.abs(cut.astype(int) - whole)
    assert np.mean(difference) < 0.5
    assert np.mean(np.abs(np.roll(whole, 1, axis=0).astype(int) - whole)) > 5  # a pixel's shift
    assert fit(picture((70_000, 5)), 256, "timm").size == (512, 256)


def test_studies_of_earlier_versions_keep_their_pixels():
    """Against their rule, written down here: 2:1 first, then a rounded size."""
    for width, height in [*RANDOM, *ODD]:
        image = picture((width, height))
        inner = min(width, 2 * height), min(height, 2 * width)
        left, top = (width - inner[0]) // 2, (height - inner[1]) // 2
        part = image.crop((left, top, left + inner[0], top + inner[1]))
        scale = 45 / min(inner)
        size = round(inner[0] * scale), round(inner[1] * scale)
        wanted = part.resize(size, Image.Resampling.BICUBIC)
        assert fitted_size(width, height, 45, "rounded") == size
        assert np.array_equal(np.asarray(fit(image, 45, "rounded")), np.asarray(wanted))
    assert [before_centre(margin, "rounded") for margin in range(8)] == [0, 0, 1, 1, 2, 2, 3, 3]


@pytest.mark.parametrize("resize", ["timm", "rounded"])
def test_tensors_and_numbers_have_one_centre(resize: Resize):
    sizes = torch.tensor([(40 + n, 60 - n) for n in range(20)])
    wanted = [[before_centre(side - 40, resize) for side in pair] for pair in sizes.tolist()]
    assert centred(sizes, 40, resize)[:, :2].tolist() == wanted
