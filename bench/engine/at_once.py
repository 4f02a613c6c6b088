"""How many images should go through a network at once where nothing is learned from them?

    python -m bench.engine.at_once [--sizes 64 128 224] [--at-once 16 64 128 200] [--runs 3]

Evaluates the network on one CPU thread in batches of each number, which take turns, with freed
memory kept as in a trial. Prints milliseconds of CPU time an image, least to most.
"""

import argparse
import time
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from tlsearch.backbones import build
from tlsearch.data import kept_memory

from .trial import MODEL

CPU = torch.device("cpu")
PIXELS = 200 * 224**2  # of all images of a run


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--sizes", nargs="+", type=int, default=[64, 128, 224])
    parser.add_argument("--at-once", nargs="+", type=int, default=[16, 64, 128, 200])
    parser.add_argument("--runs", type=int, default=3)
    given = parser.parse_args()
    torch.set_num_threads(1)
    model = build(MODEL, 10, seed=0).to(memory_format=torch.channels_last).eval()
    print("| pixels | " + " | ".join(map(str, given.at_once)) + " |")
    print("|---" * (1 + len(given.at_once)) + "|")
    for size in given.sizes:
        with kept_memory(CPU):
            found = measured(model, size, given.at_once, given.runs)
        cells = [f"{min(runs):.2f} to {max(runs):.2f}" for runs in found]
        print(f"| {size} | " + " | ".join(cells) + " |", flush=True)


@torch.inference_mode()
def measured(model: nn.Module, size: int, at_once: Sequence[int], n_runs: int) -> list[list[float]]:
    """Return milliseconds of CPU time an image, a list of runs for each number of images."""
    n_images = max(*at_once, PIXELS // size**2 // 2)
    images = torch.randn(n_images, 3, size, size).to(memory_format=torch.channels_last)
    for n in at_once:
        model(images[:n])
    found: list[list[float]] = [[] for _ in at_once]
    for _ in range(n_runs):
        for n, runs in zip(at_once, found, strict=True):
            runs.append(_milliseconds(model, images, n))
    return found


def _milliseconds(model: nn.Module, images: Tensor, at_once: int) -> float:
    began = time.process_time()
    for batch in torch.split(images, at_once):
        model(batch)
    return 1000 * (time.process_time() - began) / len(images)


if __name__ == "__main__":
    main()
