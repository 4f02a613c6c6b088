"""How many images of a batch a device can take at once; the others are accumulated.

A step of `recipe.batch_size` images is made of as many equal parts as it takes: the gradients of
the parts are summed, each by its share of the batch, before the optimiser's one step. Without
batch normalisation that is the gradient of the whole batch up to rounding; batch-norm layers
normalise each part by its own statistics. What fits is found once a process for each network, size
and device: the first step that is out of memory halves the parts, and the training begins again.
"""

import gc
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor

from tlsearch.backbones import Backbone
from tlsearch.errors import is_memory_shortage
from tlsearch.finetune.batch_size import values_a_channel
from tlsearch.spec import RecipeSpec

T = TypeVar("T")

MOST_AT_ONCE = 2**31 - 1  # images
_FEWEST_VALUES = 2  # of a channel, that batch norm takes a spread from
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _What:
    """What a part is for."""

    model: str
    image_size: int
    batch_size: int
    device: torch.device


_found: dict[_What, int] = {}  # images that fit at once, where the whole batch does not


class TooMuchAtOnce(Exception):
    """A step was out of memory; its cause says of what."""


def images_at_once(backbone: Backbone, recipe: RecipeSpec, device: torch.device) -> int:
    """Return how many images of a step to pass through the network at once, as far as is known."""
    return _found.get(_what(backbone, recipe, device), recipe.batch_size)


def parts(images: Tensor, labels: Tensor, at_once: int) -> Iterator[tuple[Tensor, Tensor, float]]:
    """Yield the parts of a batch, whose sizes differ by one at most, and each one's share of it.

    Args:
        images: (b, 3, size, size).
        labels: (b,) or (b, n_classes).
        at_once: images of a part at most.
    """
    n_parts = -(-len(images) // at_once)
    for part, part_labels in zip(
        images.tensor_split(n_parts), labels.tensor_split(n_parts), strict=True
    ):
        yield part, part_labels, len(part) / len(images)


def in_parts_that_fit(
    backbone: Backbone,
    recipe: RecipeSpec,
    n_train: int,
    device: torch.device,
    run: Callable[[], T],
) -> T:
    """Run a training; where a step is out of memory, halve its parts and run it again.

    Args:
        backbone: pretrained network.
        recipe: of the training.
        n_train: training images.
        device: where to train.
        run: trains by parts of `images_at_once`, raises `TooMuchAtOnce`, and may be called again.

    Raises:
        RuntimeError: out of memory even with the smallest parts.
        MemoryError: likewise.
    """
    while True:
        try:
            return run()
        except TooMuchAtOnce as error:
            cause = error.__cause__
            if not _halved(backbone, recipe, n_train, device):
                assert cause is not None
                raise cause from None
        del cause  # its traceback holds the tensors of the training
        gc.collect()
        if device.type == "cuda":
            torch.cuda.empty_cache()


@contextmanager
def too_much_at_once() -> Iterator[None]:
    """Turn a shortage of memory in the block into `TooMuchAtOnce`."""
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if not is_memory_shortage(error):
            raise
        raise TooMuchAtOnce from error


def _halved(backbone: Backbone, recipe: RecipeSpec, n_train: int, device: torch.device) -> bool:
    """Halve the parts; False where they cannot be smaller."""
    now = min(images_at_once(backbone, recipe, device), n_train)
    smaller = -(-now // 2)
    if smaller == now or smaller < _fewest(backbone, recipe, n_train):
        return False
    _found[_what(backbone, recipe, device)] = smaller
    _log.warning(
        "%s at %d pixels: %d images at once are too much for %s; steps of %d images are made of "
        "parts of %d at most",
        backbone.name,
        recipe.image_size,
        now,
        device,
        min(recipe.batch_size, n_train),
        smaller,
    )
    return True


def _fewest(backbone: Backbone, recipe: RecipeSpec, n_train: int) -> int:
    """Return the images of the smallest part that batch normalisation can work with."""
    images = min(recipe.batch_size, n_train)
    values = values_a_channel(recipe, backbone, n_train)
    return 1 if values is None else -(-_FEWEST_VALUES * images // values)


def _what(backbone: Backbone, recipe: RecipeSpec, device: torch.device) -> _What:
    return _What(backbone.name, recipe.image_size, recipe.batch_size, device)
