"""What surrounds a training: its random numbers, its precision, words for a full device."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

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


def mixed_precision(device: torch.device) -> AbstractContextManager[object]:
    """Let forward passes in the block run in bfloat16 on a GPU, and in fp32 on a CPU.

    On a CPU bfloat16 is slower (docs/decisions/0022-engine-on-a-cpu.md).
    """
    return torch.autocast("cuda", torch.bfloat16) if device.type == "cuda" else nullcontext()


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
