"""Averages of the weights of several models: one model, at the cost of one.

Wortsman et al., "Model soups: averaging weights of multiple fine-tuned models improves accuracy
without increasing inference time" (ICML 2022).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from tlsearch.backbones import InputStatistics
from tlsearch.data import DeviceImages, kept_memory
from tlsearch.finetune.batch_norm import recalibrate_on
from tlsearch.spec import RecipeSpec

State = Mapping[str, Tensor]


@dataclass(frozen=True, slots=True, eq=False)
class Soup:
    """An average of weights.

    Attributes:
        state: a state dict.
        members: which models are in it, by their place, in the order in which they came in.
    """

    state: dict[str, Tensor]
    members: tuple[int, ...]


def uniform_soup(states: Sequence[State]) -> Soup:
    """Return the mean of all models' weights, and of their batch-norm statistics.

    Whole numbers (batch norm's counters) are those of the first.

    Args:
        states: state dicts of models of the same structure, at least one.
    """
    return Soup(_mean(states), tuple(range(len(states))))


def greedy_soup(
    states: Sequence[State],
    scores: Sequence[float],
    score_of: Callable[[dict[str, Tensor]], float],
) -> Soup:
    """Return the mean of those models that do not lower its validation score (recipe 1).

    Models are tried in the order of their own scores; one stays where the mean with it is at
    least as good as without it. So the soup is never behind the best model on these images.

    Args:
        states: state dicts of models of the same structure, at least one.
        scores: of each on the validation images: accuracy, say; larger is better.
        score_of: the same of a mean of weights.
    """
    first, *others = sorted(range(len(states)), key=lambda i: -scores[i])
    members, best = [first], scores[first]
    for each in others:
        score = score_of(_mean([states[i] for i in (*members, each)]))
        if score >= best:
            members, best = [*members, each], score
    return Soup(_mean([states[i] for i in members]), tuple(members))


def recalibrated(
    model: nn.Module, clean: DeviceImages, recipe: RecipeSpec, statistics: InputStatistics
) -> nn.Module:
    """Give a mean of weights batch-norm statistics of its own, and return it.

    Those of the models are of other activations than its own. They come from clean training images,
    as those of a trial do; where the recipe froze them all models have the same, which stay.

    Args:
        model: on the device of the images.
        clean: training images at the size of evaluation.
        recipe: of the training, as `starting_recipe` returns it.
        statistics: of the pixels.
    """
    if recipe.batch_norm != "frozen":
        with kept_memory(clean.device):
            recalibrate_on(model, clean, recipe, statistics)
    return model


def _mean(states: Sequence[State]) -> dict[str, Tensor]:
    if len(states) == 1:
        return dict(states[0])
    return {name: _mean_of([state[name] for state in states]) for name in states[0]}


def _mean_of(tensors: Sequence[Tensor]) -> Tensor:
    first = tensors[0]
    if not first.is_floating_point():
        return first
    return torch.stack([tensor.double() for tensor in tensors]).mean(dim=0).to(first.dtype)
