"""Where the time of a training goes, measured without waiting for the device."""

import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Literal

import torch

from tlsearch.records.training import TrainingTimes

What = Literal["batches", "steps", "validation"]


@dataclass
class Stopwatch:
    """Adds up what is done in blocks.

    On a GPU it measures by events, which the GPU passes when it comes to them, so the host goes on
    meanwhile; what they say is read when `times` is called.

    Args:
        device: where the blocks compute.
    """

    device: torch.device
    _images: int = 0
    _seconds: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    _events: list[tuple[What, torch.cuda.Event, torch.cuda.Event]] = field(default_factory=list)

    @contextmanager
    def measuring(self, what: What, images: int = 0) -> Iterator[None]:
        """Measure a block.

        Args:
            what: it is spent on.
            images: that are trained on in it.
        """
        self._images += images
        if self.device.type != "cuda":
            began = time.monotonic()
            yield
            self._seconds[what] += time.monotonic() - began
            return
        begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))  # type: ignore[no-untyped-call]
        begin.record()
        yield
        end.record()
        self._events.append((what, begin, end))

    def times(self) -> TrainingTimes:
        """Return the sums so far; waits for the device where it is a GPU."""
        if self._events:
            torch.cuda.synchronize(self.device)
        for what, begin, end in self._events:
            self._seconds[what] += begin.elapsed_time(end) / 1000
        self._events.clear()
        found = self._seconds
        return TrainingTimes(found["batches"], found["steps"], found["validation"], self._images)
