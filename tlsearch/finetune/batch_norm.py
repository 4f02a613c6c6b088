"""Batch-norm statistics: recomputed before each validation, or frozen at the pretrained ones.

Wu and Johnson, "Rethinking Batch in BatchNorm" (2021), section 3 (precise batch norm): the running
statistics of training are those of augmented batches under weights that have moved since. Here the
mean and the variance that an evaluation uses are those of clean training images under the weights
that are evaluated. Each batch is normalised by its own statistics on its way up, as in training;
the statistics of the batches are then pooled.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from tlsearch.backbones import InputStatistics, Layers
from tlsearch.data import (
    DeviceImages,
    evaluated_at_once,
    evaluation_batches,
    in_batches_that_fit,
    seed_from,
)
from tlsearch.finetune.guards import mixed_precision
from tlsearch.spec import RecipeSpec

# A forward pass is about a third of a training step, so a quarter of the images costs less than a
# tenth of an epoch. Few images are all used, although that costs up to a third of an epoch.
LEAST_IMAGES = 512
SHARE = 0.25
_BATCH_SIZE = 200  # the most images that are normalised by their own statistics together


def batch_norms(model: nn.Module) -> dict[str, _BatchNorm]:
    """Return the layers that keep running statistics, by name."""
    return {
        name: module
        for name, module in model.named_modules()
        if isinstance(module, _BatchNorm) and module.running_mean is not None
    }


def pretrained_batch_norms(
    model: nn.Module, layers: Layers, reinit_layers: int
) -> tuple[_BatchNorm, ...]:
    """Return those whose statistics are pretrained: all below the top `reinit_layers`."""
    kept = len(layers.layers) - reinit_layers
    return tuple(
        layer
        for name, layer in batch_norms(model).items()
        if layers.index_of[f"{name}.running_mean"] < kept
    )


def clean_sample(n_images: int, seed: int) -> tuple[Tensor, ...]:
    """Return which training images the statistics come from, the same before each validation.

    All of them where there are at most `LEAST_IMAGES`, else that number or a quarter, whichever is
    more. They are shuffled, because each batch is normalised by its own statistics and images often
    come sorted by class.

    Returns:
        int64 batches of nearly equal size.
    """
    generator = torch.Generator().manual_seed(seed_from(seed, "batch norm"))
    n_used = min(n_images, max(LEAST_IMAGES, int(SHARE * n_images)))
    used = torch.randperm(n_images, generator=generator)[:n_used]
    return used.tensor_split(-(-n_used // _BATCH_SIZE))


def recalibrate_on(
    model: nn.Module, clean: DeviceImages, recipe: RecipeSpec, statistics: InputStatistics
) -> None:
    """Set the running statistics to those of clean training images; see `recalibrate`.

    Args:
        model: on the device of the images; in evaluation mode afterwards.
        clean: training images at the size of evaluation.
        recipe: for the evaluation crop and the seed.
        statistics: of the pixels.
    """
    sample, seen = clean_sample(len(clean), recipe.seed), recipe.for_evaluation()
    mean, std = statistics.mean, statistics.std

    def recalibrated(batch_size: int) -> None:
        orders = [
            part for batch in sample for part in batch.tensor_split(-(-len(batch) // batch_size))
        ]
        batches = evaluation_batches(clean, seen, mean, std, orders)
        recalibrate(model, (images for images, _ in batches))

    at_once = min(max(map(len, sample)), evaluated_at_once(seen.image_size))
    in_batches_that_fit(at_once, recalibrated)


@torch.no_grad()
def recalibrate(model: nn.Module, batches: Iterable[Tensor]) -> None:
    """Set the running statistics to the mean and variance over all batches, in one pass.

    The mean and the unbiased variance of each channel are exact for the activations of this pass:
    batches and positions are pooled by their numbers. Nothing else of the model changes, and no
    random numbers are drawn. The model is in evaluation mode afterwards.

    Args:
        model: one without such layers stays as it is, and no batch is used.
        batches: float32 (b, 3, size, size), more than one value a channel in each layer.
    """
    model.eval()
    layers = tuple(batch_norms(model).values())
    if not layers:
        return
    pooled: _Pooled = {}
    with _statistics_of_each_batch(layers) as seen:
        for images in batches:
            with mixed_precision(images.device):
                model(images)
            for call in _nth_calls(seen):
                _pool(pooled, call)
            seen.clear()
    _write(pooled)


@contextmanager
def restored(tensors: Sequence[Tensor]) -> Iterator[None]:
    """Give the tensors their values back afterwards."""
    before = [tensor.detach().clone() for tensor in tensors]
    try:
        yield
    finally:
        with torch.no_grad():
            if before:
                torch._foreach_copy_(list(tensors), before)


def statistics_of(model: nn.Module) -> list[Tensor]:
    """Return the running means and variances of a model, and its counters of batches."""
    return _buffers(batch_norms(model).values())


def _buffers(layers: Iterable[nn.Module]) -> list[Tensor]:
    return [buffer for layer in layers for buffer in layer.buffers(recurse=False)]


@dataclass(frozen=True, slots=True, eq=False)
class _Seen:
    """What one call of a layer has seen, each channel, float64 (channels,).

    Attributes:
        layer: which.
        n: values of a channel.
        mean: their mean.
        variance: unbiased.
    """

    layer: _BatchNorm
    n: int
    mean: Tensor
    variance: Tensor


@dataclass(frozen=True, slots=True, eq=False)
class _Moments:
    """Of all that a layer has seen, each channel, float64 (channels,).

    Attributes:
        n: values of a channel.
        mean: their mean.
        squares: sum of their squared deviations from it.
    """

    n: int
    mean: Tensor
    squares: Tensor


_Pooled = dict[_BatchNorm, _Moments]

# What follows works on all layers at once, because a GPU takes longer to launch an operation on
# so few numbers than to carry it out.


def _nth_calls(seen: Sequence[_Seen]) -> list[_Pooled]:
    """Return what the first call of each layer saw, the second of each that has one, and so on."""
    if not seen:  # the forward pass uses none of the layers
        return []
    scale: list[float] = [call.n - 1 for call in seen]
    squares = torch._foreach_mul([call.variance for call in seen], scale)
    calls: list[_Pooled] = []
    for one, deviations in zip(seen, squares, strict=True):
        call = next((call for call in calls if one.layer not in call), None)
        if call is None:
            calls.append(call := {})
        call[one.layer] = _Moments(one.n, one.mean, deviations)
    return calls


def _pool(pooled: _Pooled, more: _Pooled) -> None:
    """Add to each layer what one call more of it has seen.

    As in Chan, Golub and LeVeque, "Updating formulae and a pairwise algorithm for computing sample
    variances" (1979), equation 2.1.
    """
    joined = [layer for layer in more if layer in pooled]
    pooled.update({layer: found for layer, found in more.items() if layer not in pooled})
    if not joined:
        return
    old, new = [pooled[layer] for layer in joined], [more[layer] for layer in joined]
    totals = [one.n + other.n for one, other in zip(old, new, strict=True)]
    away = torch._foreach_sub([m.mean for m in new], [m.mean for m in old])
    between = torch._foreach_mul(away, away)
    pairs = list(zip(old, new, totals, strict=True))
    torch._foreach_mul_(between, [one.n * other.n / n for one, other, n in pairs])
    squares = torch._foreach_add([m.squares for m in old], [m.squares for m in new])
    torch._foreach_add_(squares, between)
    torch._foreach_mul_(away, [other.n / n for _, other, n in pairs])
    means = torch._foreach_add([m.mean for m in old], away)
    for layer, n, mean, deviations in zip(joined, totals, means, squares, strict=True):
        pooled[layer] = _Moments(n, mean, deviations)


def _write(pooled: _Pooled) -> None:
    """Set the running statistics of the layers that a forward pass uses."""
    if not pooled:
        return
    scale: list[float] = [moments.n - 1 for moments in pooled.values()]
    variances = torch._foreach_div([moments.squares for moments in pooled.values()], scale)
    torch._foreach_copy_(
        [tensor for layer in pooled for tensor in _running(layer)],
        [
            tensor
            for moments, variance in zip(pooled.values(), variances, strict=True)
            for tensor in (moments.mean, variance)
        ],
    )


def _running(layer: _BatchNorm) -> tuple[Tensor, Tensor]:
    assert layer.running_mean is not None
    assert layer.running_var is not None
    return layer.running_mean, layer.running_var


@contextmanager
def _statistics_of_each_batch(layers: Sequence[_BatchNorm]) -> Iterator[list[_Seen]]:
    """Yield a list to which each call of a layer adds the statistics of its input.

    In training mode and with a momentum of 1 a layer writes exactly these into its buffers.
    """
    seen: list[_Seen] = []

    def add(layer: nn.Module, inputs: tuple[Tensor, ...], _: object) -> None:
        assert isinstance(layer, _BatchNorm)
        mean, variance = _running(layer)
        n = inputs[0].numel() // layer.num_features
        seen.append(_Seen(layer, n, mean.double(), variance.double()))

    momenta = [layer.momentum for layer in layers]
    hooks = [layer.register_forward_hook(add) for layer in layers]
    try:
        with restored(_buffers(layers)):
            for layer in layers:
                layer.train()
                layer.momentum = 1.0
            yield seen
    finally:
        for hook in hooks:
            hook.remove()
        for layer, momentum in zip(layers, momenta, strict=True):
            layer.momentum = momentum
            layer.eval()
