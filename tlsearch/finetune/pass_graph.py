"""Replays the forward and the backward pass of a batch as one CUDA graph.

A network has hundreds of small kernels a pass, and a GPU that is through with them sooner than the
CPU launches them waits for the CPU. A recorded graph is launched at once. The first batches run
kernel by kernel, which also lets libraries set themselves up; then one is recorded, and all batches
of its shape replay it: their images and labels are copied to where the graph reads them, and their
gradients lie where it writes them. The optimiser is not part of the graph.

Source: PyTorch's notes on CUDA graphs, "Whole-network capture".
"""

import logging
import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor, nn

from tlsearch.errors import is_memory_shortage

WARM_UP = 3  # batches
VARIABLE = "TLSEARCH_CUDA_GRAPHS"  # "0": every training runs kernel by kernel

Passes = Callable[[Tensor, Tensor], Tensor]
_log = logging.getLogger(__name__)
_told: set[str] = set()  # networks of which the log says already that they cannot be recorded


@dataclass(frozen=True, slots=True, eq=False)
class _Recorded:
    """A graph, and the tensors that it reads and writes.

    Attributes:
        graph: of the passes.
        images: (b, 3, size, size), channels last.
        labels: (b,) or (b, n_classes).
        loss: a scalar.
        gradients: of each parameter that has one.
    """

    graph: torch.cuda.CUDAGraph
    images: Tensor
    labels: Tensor
    loss: Tensor
    gradients: tuple[tuple[nn.Parameter, Tensor], ...]

    def fits(self, images: Tensor, labels: Tensor) -> bool:
        shapes = (images.shape, labels.shape, labels.dtype)
        return shapes == (self.images.shape, self.labels.shape, self.labels.dtype)

    def replay(self, images: Tensor, labels: Tensor) -> Tensor:
        """Run the passes on a batch; return its loss, and leave its gradients."""
        self.images.copy_(images)
        self.labels.copy_(labels)
        self.graph.replay()
        for parameter, gradient in self.gradients:
            parameter.grad = gradient
        return self.loss.clone()


class PassGraph:
    """The passes of a training, recorded as soon as they are warm.

    The tensors of the model must stay the same objects, and in the mode that they are in when the
    passes are recorded. A network whose passes cannot be recorded, because it waits for values on
    the GPU, say, runs kernel by kernel, and the log says so once.

    Args:
        name: of the network.
        model: on a CUDA device.
    """

    def __init__(self, name: str, model: nn.Module) -> None:
        self._name, self._model = name, model
        self._left = WARM_UP
        self._recorded: _Recorded | None = None
        self._refused = False

    @classmethod
    def on(cls, device: torch.device, name: str, model: nn.Module) -> "PassGraph | None":
        """Return one for a model on a device; None on a CPU, and where none is wanted."""
        wanted = device.type == "cuda" and os.environ.get(VARIABLE) != "0"
        return cls(name, model) if wanted else None

    @property
    def recorded(self) -> bool:
        """Whether there is a graph now."""
        return self._recorded is not None

    def __call__(self, images: Tensor, labels: Tensor, passes: Passes) -> Tensor:
        """Return the loss of a batch, a scalar, and leave its gradients.

        Args:
            images: float32 (b, 3, size, size), on the device.
            labels: int64 (b,), or float32 (b, n_classes), on the device.
            passes: the same each time: returns the loss and adds its gradients to the model's,
                which has none before.
        """
        if self._recorded is None and not self._refused:
            if self._left:
                self._left -= 1
            else:
                self._recorded = self._record(images, labels, passes)
        if self._recorded is None or not self._recorded.fits(images, labels):
            return passes(images, labels)
        return self._recorded.replay(images, labels)

    def release(self) -> None:
        """Give the memory of the graph back; the next batch is recorded anew."""
        self._recorded = None

    def _record(self, images: Tensor, labels: Tensor, passes: Passes) -> _Recorded | None:
        """Record the passes on copies of a batch, which does not run them; None = it cannot be."""
        try:
            return self._recording(images.clone(), labels.clone(), passes)
        except RuntimeError as error:
            self._refused = True
            for parameter in self._model.parameters():
                parameter.grad = None
            if not _is_memory_shortage(error) and self._name not in _told:
                _told.add(self._name)
                why = str(error).strip().splitlines()[0]
                _log.warning(
                    "%s: a training step cannot be recorded as a CUDA graph (%s); its kernels are "
                    "launched one by one, which is slower for small images",
                    self._name,
                    why,
                )
            return None

    def _recording(self, images: Tensor, labels: Tensor, passes: Passes) -> _Recorded:
        with torch.cuda.device(images.device):
            graph, stream = torch.cuda.CUDAGraph(), _recording_stream(images.device)
            # Other threads may use CUDA meanwhile.
            with torch.cuda.graph(graph, stream=stream, capture_error_mode="thread_local"):
                loss = passes(images, labels)
        gradients = tuple((p, p.grad) for p in self._model.parameters() if p.grad is not None)
        return _Recorded(graph, images, labels, loss, gradients)


@cache
def _recording_stream(device: torch.device) -> torch.cuda.Stream:
    """Return one stream for all recordings: libraries keep workspaces for each that they see."""
    stream: torch.cuda.Stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
    return stream


def _is_memory_shortage(error: BaseException | None) -> bool:
    """Return whether an error is one, or came of one while a recording ended."""
    return error is not None and (
        is_memory_shortage(error) or _is_memory_shortage(error.__context__)
    )
