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

import torch
from torch import Tensor, nn

from tlsearch.finetune.cuda_recording import CannotRecord, noting_waits, record

WARM_UP = 3  # batches
VARIABLE = "TLSEARCH_CUDA_GRAPHS"  # "0": every training runs kernel by kernel

Passes = Callable[[Tensor, Tensor], Tensor]
_log = logging.getLogger(__name__)
_cannot: set[str] = set()  # networks that cannot be recorded, as the log has said


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
        self._refused = name in _cannot

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
        if self._left:
            return self._warm(images, labels, passes)
        if self._recorded is None and not self._refused:
            self._recorded = self._record(images, labels, passes)
        if self._recorded is None or not self._recorded.fits(images, labels):
            return passes(images, labels)
        return self._recorded.replay(images, labels)

    def release(self) -> None:
        """Give the memory of the graph back; the next batch is recorded anew."""
        self._recorded = None

    def _warm(self, images: Tensor, labels: Tensor, passes: Passes) -> Tensor:
        """Run the passes kernel by kernel; the last time, look whether they wait for the GPU."""
        self._left -= 1
        if self._left or self._refused:
            return passes(images, labels)
        with noting_waits() as places:
            loss = passes(images, labels)
        if places:
            self._refuse(f"it waits for a value on the GPU at {places[0]}")
        return loss

    def _record(self, images: Tensor, labels: Tensor, passes: Passes) -> _Recorded | None:
        """Record the passes on copies of a batch, which does not run them; None = it cannot be."""
        images, labels = images.clone(), labels.clone()
        try:
            graph, loss = record(lambda: passes(images, labels), images.device)
        except CannotRecord as error:
            for parameter in self._model.parameters():
                parameter.grad = None
            if error.memory:  # another process may have taken it meanwhile
                self._refused = True
            else:
                self._refuse(f"{error}")
            return None
        gradients = tuple((p, p.grad) for p in self._model.parameters() if p.grad is not None)
        return _Recorded(graph, images, labels, loss, gradients)

    def _refuse(self, why: str) -> None:
        """Record no training of this network in this process, and say why."""
        self._refused = True
        _cannot.add(self._name)
        _log.warning(
            "%s: a training step cannot be a CUDA graph (%s); its kernels are launched one by one, "
            "which takes longer",
            self._name,
            why,
        )
