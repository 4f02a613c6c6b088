"""Recipes that a network or the images do not allow."""

from tlsearch.backbones import Backbone, Dropping, check_dropping
from tlsearch.errors import BackboneError, SpecError
from tlsearch.spec import RecipeSpec


def check_recipe(recipe: RecipeSpec, backbone: Backbone, n_train: int, n_classes: int) -> None:
    """Check what a spec alone cannot know.

    Args:
        recipe: what all trials of a study share.
        backbone: pretrained network.
        n_train: training images.
        n_classes: classes.

    Raises:
        SpecError: with every problem found.
    """
    normed = has_batch_norm(backbone)
    problems = []
    if recipe.batch_norm == "frozen" and not normed:
        problems.append(
            f'recipe.batch_norm = "frozen": {backbone.name} has no batch-norm layers to freeze; '
            "leave the key out"
        )
    if recipe.batch_norm == "recalibrated" and normed and n_train <= n_classes:
        problems.append(
            f'recipe.batch_norm = "recalibrated": {n_train} training images of {n_classes} classes '
            'are too few for statistics; add images, or set recipe.batch_norm = "running"'
        )
    try:
        dropping = Dropping(recipe.dropout, recipe.drop_path)
        check_dropping(backbone.name, backbone.image_size, dropping)
    except BackboneError as error:
        problems.append(str(error))
    if problems:
        raise SpecError(problems)


def has_batch_norm(backbone: Backbone) -> bool:
    """Whether a network has layers with running statistics."""
    return any(key.endswith("running_mean") for key in backbone.state)
