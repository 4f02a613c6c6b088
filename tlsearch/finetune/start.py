"""What a training starts from.

With `reinit_layers` 0 nothing is random: the classifier is the linear probe, as in Kumar et al.,
"Fine-tuning can distort pretrained features and underperform out-of-distribution" (ICLR 2022),
section 3.3 (LP-FT). The features that the probe was fitted to are those of the pretrained
batch-norm statistics, so these stay; and since nothing else limits a step then, gradients are
clipped.
"""

from torch import nn

from tlsearch.backbones import Backbone, Dropping, LinearHead, put_head
from tlsearch.finetune.check import has_batch_norm
from tlsearch.finetune.reinit import initial_model
from tlsearch.records import Hyperparameters
from tlsearch.spec import RecipeSpec

CLIP_NORM = 1.0  # where the recipe has no limit


def starting_model(
    backbone: Backbone,
    n_classes: int,
    recipe: RecipeSpec,
    hyperparameters: Hyperparameters,
    head: LinearHead | None,
) -> nn.Module:
    """Return the model before its first step, on the CPU.

    Args:
        backbone: pretrained network.
        n_classes: outputs of the classifier.
        recipe: for the seed, dropout and stochastic depth.
        hyperparameters: for `reinit_layers`.
        head: the linear probe; only used where no layer is reinitialised.

    Raises:
        BackboneError: the head does not fit the network.
        ValueError: there is no head, and no layer is reinitialised.
    """
    dropping = Dropping(recipe.dropout, recipe.drop_path)
    reinit_layers = hyperparameters.reinit_layers
    model = initial_model(backbone, n_classes, max(1, reinit_layers), recipe.seed, dropping)
    if reinit_layers == 0:
        if head is None:
            raise ValueError("reinit_layers = 0 needs a head: no layer is random")
        put_head(model, backbone.name, head)
    return model


def starting_recipe(
    recipe: RecipeSpec, backbone: Backbone, hyperparameters: Hyperparameters
) -> RecipeSpec:
    """Return the recipe of one training.

    Where no layer is reinitialised, batch norm is frozen, and gradients are clipped.
    """
    if hyperparameters.reinit_layers > 0 or not has_batch_norm(backbone):
        return recipe
    clip_norm = recipe.clip_norm or CLIP_NORM
    return recipe.model_copy(update={"batch_norm": "frozen", "clip_norm": clip_norm})
