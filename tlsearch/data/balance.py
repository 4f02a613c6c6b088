"""The order of an epoch in which each class comes as often as any other."""

import torch
from torch import Tensor


def balanced_order(labels: Tensor, generator: torch.Generator) -> Tensor:
    """Draw an epoch of n places in which the classes come equally often, in random order.

    Class-balanced sampling as in Kang et al., "Decoupling representation and classifier for
    long-tailed recognition" (ICLR 2020), section 3 (q = 0), with less chance in it: each of k
    classes gets n / k places, one more where that is no whole number and chance says so, and its
    images take turns, so that none comes again before all others of its class have.

    Args:
        labels: int64 (n,) on the CPU, class of each image.
        generator: of the CPU.

    Returns:
        int64 (n,), which images; some come several times, others not at all.
    """
    n, classes = len(labels), labels.bincount().nonzero().squeeze(1)
    places = torch.full((len(classes),), n // len(classes))
    places[torch.randperm(len(classes), generator=generator)[: n % len(classes)]] += 1
    chosen = [
        _in_turn((labels == name).nonzero().squeeze(1), int(wanted), generator)
        for name, wanted in zip(classes, places, strict=True)
    ]
    order = torch.cat(chosen)
    return order[torch.randperm(n, generator=generator)]


def _in_turn(members: Tensor, wanted: int, generator: torch.Generator) -> Tensor:
    """Return so many of the members: all of them, shuffled, again and again."""
    rounds = -(-wanted // len(members))
    turns = [members[torch.randperm(len(members), generator=generator)] for _ in range(rounds)]
    return torch.cat(turns)[:wanted] if turns else members[:0]
