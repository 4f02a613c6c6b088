"""Images at the size of training and at the size of evaluation."""

from dataclasses import replace

from tlsearch.data.cache import load_training_data
from tlsearch.data.imageset import TrainingData
from tlsearch.data.references import Catalog
from tlsearch.spec import RecipeSpec


def load_for_recipe(catalog: Catalog, recipe: RecipeSpec) -> TrainingData:
    """Decode training images at `image_size` and validation images at `eval_size`.

    Where the two differ and batch-norm statistics are recalibrated, the training images are there
    at `eval_size` too.

    Raises:
        DataError: see `load_training_data`.
    """
    images = load_training_data(catalog, recipe.image_size, recipe.eval_crop, recipe.resize)
    size = recipe.for_evaluation().image_size
    if size == recipe.image_size:
        return images
    evaluated = load_training_data(catalog, size, recipe.eval_crop, recipe.resize)
    clean = evaluated.train if recipe.batch_norm == "recalibrated" else None
    return replace(images, val=evaluated.val, clean=clean)
