"""The test images: who loads them, and who cannot."""

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from tlsearch.data import DeviceImages, content_of_test_images, load_catalog, val_batches
from tlsearch.data.decode import decode
from tlsearch.data.held_out import load_test_images
from tlsearch.errors import DataError
from tlsearch.spec import DataSpec, RecipeSpec

SHIPPED = DataSpec(path="builtin:fashion-mnist-30", test_per_class=3)
RECIPE = RecipeSpec(image_size=16, eval_crop=0.8)


@pytest.fixture(scope="module")
def catalog():
    return load_catalog(SHIPPED)


def test_they_are_decoded_as_validation_images_are(catalog):
    found = load_test_images(catalog, RECIPE)
    assert len(found) == 30
    assert found.labels.tolist() == [ref.label for ref in catalog.test]
    for place, ref in enumerate(catalog.test):
        assert np.array_equal(found.image(place), decode(ref, 20))
    larger = load_test_images(catalog, RECIPE.model_copy(update={"eval_size": 24}))
    assert larger.image(0).shape == (30, 30, 3)
    batches = list(val_batches(DeviceImages(found, "cpu"), RECIPE, (0, 0, 0), (1, 1, 1), 30))
    assert batches[0][0].shape == (30, 3, 16, 16)


def test_without_test_images_there_is_nothing_to_test(catalog):
    with pytest.raises(DataError, match="there are no test images"):
        load_test_images(replace(catalog, test=()), RECIPE)


def test_each_class_needs_a_test_image(catalog):
    fewer = tuple(ref for ref in catalog.test if ref.label not in (2, 5))
    names = [catalog.class_names[label] for label in (2, 5)]
    with pytest.raises(DataError) as caught:
        load_test_images(replace(catalog, test=fewer), RECIPE)
    assert ", ".join(map(repr, names)) in str(caught.value)
    assert "24 test images" in str(caught.value)


def test_broken_ones_are_named(catalog, tmp_path):
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"no image")
    refs = (replace(catalog.test[0], source=broken), *catalog.test[1:])
    with pytest.raises(DataError, match=r"1 image cannot be read: .*broken\.png"):
        load_test_images(replace(catalog, test=refs), RECIPE)


def test_their_content_is_hashed_and_their_labels_are_not(catalog):
    before = content_of_test_images(catalog)
    relabelled = tuple(replace(ref, label=(ref.label + 1) % 10) for ref in catalog.test)
    assert content_of_test_images(replace(catalog, test=relabelled)) == before
    assert content_of_test_images(replace(catalog, test=catalog.test[1:])) != before
    first = replace(catalog.test[0], source=np.zeros((28, 28), np.uint8))
    assert content_of_test_images(replace(catalog, test=(first, *catalog.test[1:]))) != before


@pytest.mark.slow
def test_a_worker_never_imports_what_loads_them():
    """What `.importlinter` says of the code, at run time."""
    modules = "tlsearch.worker, tlsearch.worker.run, tlsearch.studies.create, tlsearch.evaluation"
    program = f"import sys, {modules}; print('tlsearch.data.held_out' in sys.modules)"
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.stdout == "False\n", done.stderr
