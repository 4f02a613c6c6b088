"""What a batch must be for batch normalisation, and what of the images an epoch leaves out.

In training a batch-norm layer normalises each channel by the mean and the spread of its values in
the batch: images times positions of the feature map. One value has no spread, and torch refuses;
two become -1 and 1 whatever they were.
"""

from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from tlsearch.backbones import Backbone, build
from tlsearch.errors import BackboneError
from tlsearch.spec import RecipeSpec

_FEW = 8  # values; ours: with fewer, the spread of a batch is mostly chance


@dataclass(frozen=True, slots=True)
class Steps:
    """The steps of an epoch.

    Attributes:
        n: steps.
        images: in each step.
        left_out: images that an epoch leaves out, others each time.
    """

    n: int
    images: int
    left_out: int


def steps_of(recipe: RecipeSpec, n_train: int) -> Steps:
    """Return the steps of an epoch; a last batch that is not full is left out."""
    images = min(recipe.batch_size, n_train)
    return Steps(n_train // images, images, n_train % images)


def few_values(recipe: RecipeSpec, backbone: Backbone, n_train: int) -> str | None:
    """Say that batch-norm layers get few values a channel, so that their statistics are poor."""
    values = values_a_channel(recipe, backbone, n_train)
    if values is None or values >= _FEW:
        return None
    return (
        f"batch normalisation has only {values} values a channel in a step of {backbone.name} at "
        f"{recipe.image_size} pixels, so its statistics are poor; "
        'raise recipe.batch_size or recipe.image_size, or set recipe.batch_norm = "frozen"'
    )


def values_a_channel(recipe: RecipeSpec, backbone: Backbone, n_train: int) -> int | None:
    """Return how many values a channel the smallest batch-norm layer gets in a step.

    None where no layer takes its statistics from the batch.
    """
    if recipe.batch_norm == "frozen":
        return None
    positions = _fewest_positions(backbone.name, recipe.image_size)
    return None if positions is None else positions * min(recipe.batch_size, n_train)


@cache
def _fewest_positions(name: str, image_size: int) -> int | None:
    """Return the positions of the smallest feature map that a batch-norm layer gets."""
    found: list[int] = []

    def note(_: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        n_images, n_channels = inputs[0].shape[:2]
        found.append(inputs[0].numel() // (n_images * n_channels))

    try:
        model = build(name, n_classes=2, seed=0, image_size=image_size).eval()
        for module in model.modules():
            if isinstance(module, _BatchNorm):
                module.register_forward_pre_hook(note)
        with torch.inference_mode():
            model(torch.zeros(1, 3, image_size, image_size))
    except (BackboneError, RuntimeError, ValueError, AssertionError):
        return None  # another check says what is wrong
    return min(found, default=None)
