"""What a predictor feeds the network equals what the validation pipeline feeds it, bit by bit."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageOps

from tests.exported_folder import odd_images
from tlsearch.data import DeviceImages, load_catalog, load_for_recipe, stored_size, val_batches
from tlsearch.data.reading import Unread
from tlsearch.data.references import Catalog
from tlsearch.predict.exported import Preprocessing
from tlsearch.predict.images import crops_of, given_images
from tlsearch.predict.preprocess import normalised
from tlsearch.records.resize import Resize
from tlsearch.spec import DataSpec, RecipeSpec

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def inputs_of(images, pre: Preprocessing) -> np.ndarray:
    crops = crops_of(given_images(images), pre)
    assert not [each for each in crops if isinstance(each, Unread)]
    return normalised([each for each in crops if isinstance(each, np.ndarray)], pre)


def pipeline(catalog: Catalog, recipe: RecipeSpec) -> np.ndarray:
    """What validation sees, (n, size, size, 3)."""
    data = load_for_recipe(catalog, recipe)
    images = DeviceImages(data.val, "cpu")
    batches = [batch for batch, _ in val_batches(images, recipe, MEAN, STD, batch_size=7)]
    return torch.cat(batches).permute(0, 2, 3, 1).numpy()


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    root = tmp_path / "images"
    for label, name in enumerate(("first", "second")):
        for part in ("train", "val"):
            (root / part / name).mkdir(parents=True)
            for file, content in odd_images(label).items():
                (root / part / name / file).write_bytes(content)
    return root


@pytest.mark.parametrize(("size", "crop"), [(32, 0.875), (33, 0.7), (64, 1.0)])
@pytest.mark.parametrize(("bits", "resize"), [(None, "timm"), (12, "timm"), (None, "rounded")])
def test_inputs_equal_those_of_validation(
    folder: Path, size: int, crop: float, bits: int | None, resize: Resize
):
    recipe = RecipeSpec(image_size=size, eval_crop=crop, resize=resize)
    catalog = load_catalog(DataSpec(path=str(folder), bit_depth=bits))
    pre = Preprocessing(size, stored_size(size, crop), MEAN, STD, bits, resize=resize)
    found = inputs_of([ref.source for ref in catalog.val], pre)
    wanted = pipeline(catalog, recipe)
    assert found.shape == (20, size, size, 3)
    assert np.array_equal(found, wanted)
    assert len({row.tobytes() for row in found}) == 20  # all differ, so nothing is mixed up


def test_shipped_images_equal_those_of_validation(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    recipe = RecipeSpec(image_size=64)
    catalog = load_catalog(DataSpec(path="builtin:fashion-mnist-30", val_per_class=5))
    pre = Preprocessing(64, stored_size(64, recipe.eval_crop), MEAN, STD)
    found = inputs_of([ref.source for ref in catalog.val], pre)
    assert np.array_equal(found, pipeline(catalog, recipe))


def test_paths_pictures_and_arrays_of_one_image_are_the_same(photos: Path):
    """A picture is used as it was opened, and is not changed."""
    pre = Preprocessing(32, 37, MEAN, STD)
    for path in sorted(photos.iterdir()):
        wanted = inputs_of(path, pre)
        with Image.open(path) as opened:
            assert np.array_equal(inputs_of([opened, opened], pre), np.repeat(wanted, 2, 0)), path
        if path.name in ("wide.png", "large.tif"):
            with Image.open(path) as opened:
                assert np.array_equal(inputs_of(np.asarray(opened), pre), wanted)


def test_a_picture_that_was_turned_already_is_not_turned_again(photos: Path):
    pre = Preprocessing(32, 37, MEAN, STD)
    with Image.open(photos / "turned.jpg") as opened:
        upright = ImageOps.exif_transpose(opened)
    assert np.array_equal(inputs_of(upright, pre), inputs_of(photos / "turned.jpg", pre))
