"""The picture of the images on which a model was most wrong."""

import io
import warnings
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tlsearch.records.tested import WrongImage
from tlsearch.report.wrong_images import wrong_images


def shown(n: int, label: str = "ant", predicted: str = "bee"):
    rng = np.random.default_rng(0)
    return [
        (
            WrongImage(f"{i}.png", label, predicted, 0.9),
            rng.integers(256, size=(32, 32 + 20 * (i % 2), 3), dtype=np.uint8),
        )
        for i in range(n)
    ]


def opened(png: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(png))
    image.load()
    return image


@pytest.mark.parametrize("n", [0, 1, 7])
def test_any_number_of_images_is_drawn(n: int) -> None:
    image = opened(wrong_images(shown(n), "trial 7: most certain and wrong"))
    assert image.format == "PNG"
    assert min(image.size) > 200


def test_images_are_in_the_picture() -> None:
    red = [(WrongImage("r.png", "a", "b", 1.0), np.full((40, 40, 3), (255, 0, 0), np.uint8))]
    pixels = np.asarray(opened(wrong_images(red, "t")).convert("RGB"))
    assert (pixels == (255, 0, 0)).all(axis=2).mean() > 0.05


@pytest.mark.parametrize(
    "name", ["", "x" * 300, "$x_{", "\n\t", "\u200b\udcff", "😀 中文 ع", "a_b^c\\frac"]
)
def test_no_name_of_a_class_fails(name: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        opened(wrong_images(shown(2, name, name), name))


def test_settings_of_the_user_change_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = wrong_images(shown(2), "t")
    (tmp_path / "matplotlibrc").write_text("text.usetex: True\nbackend: no-such\n")
    monkeypatch.chdir(tmp_path)
    assert opened(wrong_images(shown(2), "t")).size == opened(plain).size
