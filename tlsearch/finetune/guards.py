"""What surrounds a training: its own random numbers, and words for a device that is full."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from tlsearch.errors import TrialFailure, is_memory_shortage
from tlsearch.spec import RecipeSpec


@contextmanager
def reproducible(seed: int, device: torch.device) -> Iterator[None]:
    """Seed dropout and the like, and restore the caller's generators afterwards."""
    devices = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(seed)
        yield


@contextmanager
def memory_errors(recipe: RecipeSpec, device: torch.device) -> Iterator[None]:
    try:
        yield
    except (RuntimeError, MemoryError, OSError) as error:
        if not is_memory_shortage(error):
            raise
        raise TrialFailure(
            "out_of_memory",
            f"{device} has too little memory for recipe.batch_size = {recipe.batch_size} at "
            f"recipe.image_size = {recipe.image_size}; lower one of them in the spec",
        ) from error
