"""Recipes that a network or the images do not allow."""

from functools import cache, partial

from tlsearch.backbones import Backbone, Dropping, build, check_dropping, refusal
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
    refused = partial(_refusal, backbone.name, backbone.image_size)
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
    if recipe.eval_size and (why := refused(recipe.eval_size, training=False)):
        problems.append(
            f"recipe.eval_size = {recipe.eval_size}: {backbone.name}, built for images of "
            f"{backbone.image_size} pixels, cannot take this size ({why}); leave the key out"
        )
    alone = min(recipe.batch_size, n_train) == 1 and recipe.batch_norm != "frozen"
    if alone and normed and refused(recipe.image_size, training=True):
        problems.append(
            f"recipe.batch_size = {recipe.batch_size}: one image of {recipe.image_size} pixels "
            f"gives batch-norm layers of {backbone.name} one value a channel, which has no "
            'variance; raise batch_size or image_size, or set recipe.batch_norm = "frozen"'
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


@cache
def _refusal(name: str, built_for: int, size: int, *, training: bool) -> str | None:
    """Return why a network does not take one image of this size; None where it does."""
    return refusal(build(name, 2, seed=0, image_size=built_for), size, training=training)
