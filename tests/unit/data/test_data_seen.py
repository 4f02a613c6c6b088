"""Samples are what training and validation get; the channels are those of all pixels."""

import numpy as np
import pytest
import torch
from PIL import Image

from tlsearch.data import (
    DeviceImages,
    channels_of,
    load_catalog,
    load_training_data,
    seen_classes,
    val_batches,
)
from tlsearch.errors import InputError
from tlsearch.report.class_picture import N_TRAIN, N_VAL, draw_classes, sheet
from tlsearch.spec import DataSpec, RecipeSpec

STATISTICS = (0.5, 0.4, 0.3), (0.2, 0.3, 0.25)


@pytest.fixture
def catalog(make_folder):
    return load_catalog(DataSpec(path=str(make_folder({name: 14 for name in "abc"}))))


@pytest.mark.parametrize(
    "recipe", [{}, {"eval_size": 24}, {"mixup": 0.4, "erasing": 0.5}, {"augment": "trivial"}]
)
def test_validation_images_are_those_of_validation(catalog, recipe):
    recipe = RecipeSpec(image_size=16, **recipe)
    found = seen_classes(catalog, recipe, STATISTICS, 24, N_TRAIN, 1000)
    assert [each.name for each in found] == list(catalog.class_names)
    assert all(len(each.train) == N_TRAIN for each in found)
    assert {image.shape for each in found for image in each.train} == {(16, 16, 3)}
    seen = recipe.for_evaluation()
    images = load_training_data(catalog, seen.image_size, seen.eval_crop).val
    pixels, labels = next(val_batches(DeviceImages(images, "cpu"), seen, *STATISTICS, 1000))
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in STATISTICS)
    for label, each in enumerate(found):
        wanted = 255 * (pixels[labels == label] * std + mean).permute(0, 2, 3, 1)
        assert np.abs(np.stack(each.val) - wanted.numpy()).max() <= 0.51


def test_of_many_classes_some_are_shown(catalog):
    found = seen_classes(catalog, RecipeSpec(image_size=16), STATISTICS, 2, 1, 1)
    assert [each.name for each in found] == ["a", "b"]


def test_channels_are_those_of_the_pixels(make_folder):
    root = make_folder({"a": 4, "b": 4}, size=(20, 20))
    refs = load_catalog(DataSpec(path=str(root))).train
    found = channels_of(refs, RecipeSpec(image_size=16, eval_crop=0.8))
    pixels = np.stack([np.asarray(Image.open(root / ref.name)) for ref in refs]) / 255
    np.testing.assert_allclose(found.mean, pixels.mean((0, 1, 2)), rtol=1e-9)
    np.testing.assert_allclose(found.std, pixels.std((0, 1, 2)), rtol=1e-9)


def test_the_sheet_shows_each_image_in_its_place(catalog, tmp_path):
    found = seen_classes(catalog, RecipeSpec(image_size=96), STATISTICS, 24, N_TRAIN, N_VAL)
    drawn = sheet(found)
    np.testing.assert_array_equal(drawn[:96, :96], found[0].train[0])
    np.testing.assert_array_equal(drawn[204:300, 456:552], found[2].val[0])
    with pytest.raises(InputError, match="not a picture file"):
        draw_classes(found, 3, tmp_path / "x.txt")
    with pytest.raises(InputError, match="cannot be written"):
        draw_classes(found, 3, tmp_path / "no/such/x.png")
