"""What a user of plain timm sees of all kinds of images, and the lines of the model card."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps
from timm.data import create_transform

from tests.exported_folder import odd_images
from tlsearch.backbones.exported import crop_share
from tlsearch.data.references import Catalog, ImageRef, Pixels
from tlsearch.export.card_sections import plain_timm_section
from tlsearch.export.plain_timm import REMEDIES, Kind, seen_otherwise
from tlsearch.predict.exported import Preprocessing
from tlsearch.predict.images import crops_of, given_images

BLACK_TO_WHITE = (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)
PRE = Preprocessing(32, 37, *BLACK_TO_WHITE, resize="timm")
OTHERWISE: dict[str, Kind] = {
    "turned.jpg": "turned",
    "deep.png": "deep",
    "palette.png": "transparent",
    "clear.png": "transparent",
}


def by_timm(path: Path, line: str | None = None) -> np.ndarray:
    """As a user of timm sees an image, once a line of the card is run on it."""
    names = {"image": Image.open(path), "Image": Image, "ImageOps": ImageOps, "np": np}
    exec(line or "", names)
    transform = create_transform(
        (3, 32, 32), crop_pct=crop_share(32, 37), interpolation="bicubic", mean=0, std=1
    )
    pixels = transform(names["image"].convert("RGB"))  # type: ignore[attr-defined]
    found: np.ndarray = (pixels.numpy().transpose(1, 2, 0) * 255).round()
    return found


def by_tlsearch(path: Path) -> Pixels:
    (found,) = crops_of(given_images(path), PRE)
    assert isinstance(found, np.ndarray)
    return found


def catalog_of(*sources: Path | Pixels, bits: int | None = None) -> Catalog:
    refs = [ImageRef(f"x[{k}]", 0, source, bits) for k, source in enumerate(sources)]
    return Catalog(("a", "b"), tuple(refs[::3]), tuple(refs[1::3]), tuple(refs[2::3]), (), "0")


def test_only_these_kinds_differ_and_the_lines_of_the_card_help(photos: Path):
    for path in sorted(photos.iterdir()):
        wanted, kind = by_tlsearch(path), OTHERWISE.get(path.name)
        assert np.array_equal(by_timm(path), wanted) == (kind is None), path
        if kind is not None:
            assert np.array_equal(by_timm(path, REMEDIES[kind].line), wanted), path


def test_images_are_counted_by_kind(photos: Path):
    found = seen_otherwise(catalog_of(*sorted(photos.iterdir())), PRE)
    assert (found.n_images, found.n_otherwise) == (10, 4)
    assert found.kinds == {"turned": 1, "transparent": 2, "deep": 1}
    assert found.text == (
        "plain timm sees 4 of 10 images otherwise (1 turned by an EXIF tag, 2 with transparent "
        "pixels, 1 grey of 16 bits)"
    )


def test_an_image_that_is_opaque_all_the_same_is_not_counted(tmp_path: Path):
    random = np.random.default_rng(0)
    opaque = random.integers(0, 256, (40, 50, 4), dtype=np.uint8)
    opaque[..., 3] = 255
    Image.fromarray(opaque).save(tmp_path / "opaque.png")
    grey, glass = opaque[..., :1], np.where(np.arange(4) == 3, 100, opaque).astype(np.uint8)
    plain = catalog_of(tmp_path / "opaque.png", opaque, grey, opaque[..., :3], opaque[..., 0])
    found = seen_otherwise(plain, PRE)
    assert found.n_otherwise == 0
    assert found.text == "plain timm sees all 5 images as tlsearch does"
    assert seen_otherwise(catalog_of(opaque, glass), PRE).kinds == {"transparent": 1}
    assert seen_otherwise(catalog_of(opaque[..., :3] // 16, bits=4), PRE).kinds == {"bits": 1}


@pytest.mark.parametrize(("shape", "n"), [((50, 50), 0), ((50, 71), 1), ((50, 160), 1)])
def test_rectangles_of_an_older_study_are_counted(shape: tuple[int, int], n: int):
    pixels = np.random.default_rng(1).integers(0, 256, (*shape, 3), dtype=np.uint8)
    assert seen_otherwise(catalog_of(pixels), PRE).n_otherwise == 0
    older = replace(PRE, resize="rounded")
    assert seen_otherwise(catalog_of(pixels), older).kinds == ({"shape": 1} if n else {})


def test_the_card_names_the_kinds_with_their_lines():
    unknown = plain_timm_section(PRE, None)
    for kind in ("turned", "transparent", "deep"):
        assert f"| {REMEDIES[kind].what} |" in unknown
        assert f"`{REMEDIES[kind].line}`" in unknown
    assert "not known how many" in unknown
    assert REMEDIES["shape"].what not in unknown
    assert REMEDIES["shape"].what in plain_timm_section(replace(PRE, resize="rounded"), None)


def test_pictures_in_the_test_are_of_every_kind():
    assert set(OTHERWISE) <= set(odd_images())
