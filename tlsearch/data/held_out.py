"""Loads the test images: here and nowhere else, for `tlsearch test` alone.

No trial, no measure and no choice may depend on them, so nothing that a worker runs may import this
(`.importlinter`), and the package does not hand it on.
"""

from functools import partial

from tlsearch.data.decode import decode
from tlsearch.data.fitting import stored_size
from tlsearch.data.imageset import ImageSet, labels_of, packed
from tlsearch.data.memory import enough_memory
from tlsearch.data.reading import listed, read_all, unreadable
from tlsearch.data.references import Catalog
from tlsearch.errors import DataError
from tlsearch.spec import RecipeSpec

_MORE_MEMORY = "end other programs, or take a machine with more memory"


def load_test_images(catalog: Catalog, recipe: RecipeSpec) -> ImageSet:
    """Decode the test images at the size of evaluation, as validation images are decoded.

    Args:
        catalog: the images; each class has a test image, or of several labels some class has.
        recipe: for the evaluation crop.

    Raises:
        DataError: there are none, a class has none (of several labels, all classes), or some
            cannot be read.
    """
    check_test_images(catalog)
    seen = recipe.for_evaluation()
    short_side = stored_size(seen.image_size, seen.eval_crop)
    read = partial(decode, short_side=short_side, resize=seen.resize)
    with enough_memory("for the decoded test images", _MORE_MEMORY):
        images, problems = read_all(catalog.test, read)
        if problems:
            raise unreadable(problems)
        return packed(images, labels_of(catalog.test, len(catalog.class_names)))


def check_test_images(catalog: Catalog) -> None:
    """Check that there are test images, and some of each class; of several labels of some class.

    Raises:
        DataError: there are not.
    """
    if not catalog.test:
        raise DataError(
            "there are no test images, so nothing can be tested: create a study of data with a "
            "test split, or with data.test_fraction above 0"
        )
    without = [name for name, (*_, n_test) in catalog.counts().items() if n_test == 0]
    if catalog.multi_label and len(without) < len(catalog.class_names):
        return  # a class without a test image counts in no mean
    if without:
        raise DataError(
            f"there is no test image of the class {listed(map(repr, without))} among the "
            f"{len(catalog.test)} test images, so neither its recall nor the balanced accuracy "
            "can be measured: create a study of data that has some"
        )
