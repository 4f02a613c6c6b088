"""The share of the peak learning rate at each step; the same for low and high layers."""

import math

from tlsearch.spec import RecipeSpec


def rate_factor(recipe: RecipeSpec, step: int, steps_per_epoch: int) -> float:
    """Return what to multiply each peak rate by.

    Linear warm-up over `warmup_epochs`, then cosine to zero, steps, or constant. Steps are counted
    from the first epoch, warm-up included, as in the published code.

    Args:
        recipe: names the schedule.
        step: from 0.
        steps_per_epoch: optimiser steps in an epoch.
    """
    warmup = recipe.warmup_epochs * steps_per_epoch
    if step < warmup:
        return (step + 1) / (warmup + 1)
    if recipe.schedule == "constant":
        return 1.0
    if recipe.schedule == "step":
        return recipe.step_factor ** (step // steps_per_epoch // recipe.step_epochs)
    done = (step - warmup) / (recipe.epochs * steps_per_epoch - warmup)
    return 0.5 * (1 + math.cos(math.pi * done))
