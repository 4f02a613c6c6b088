"""Writes an exported model as one ONNX graph that gives probabilities."""

import contextlib
import io
import logging
import math
import warnings
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor, nn

from tlsearch.backbones import load_exported
from tlsearch.errors import ExportError, first_line
from tlsearch.predict.exported import ONNX, Exported
from tlsearch.predict.mean import LEAST
from tlsearch.predict.onnx_model import INPUT, OUTPUT

_MISSING = (
    "ONNX needs other packages: pip install onnx onnxruntime onnxscript (or tlsearch[export])"
)


class _Probabilities(nn.Module):
    """Softmax of one network, or the geometric mean of several; see `mean_of`.

    Of several labels an image sigmoid, and the mean of log odds.
    """

    def __init__(self, networks: list[nn.Module], *, several_labels: bool = False) -> None:
        super().__init__()
        self.networks = nn.ModuleList(networks)
        self.several_labels = several_labels

    def forward(self, images: Tensor) -> Tensor:
        if self.several_labels:
            most = -math.log(LEAST)
            odds = [network(images).clamp(-most, most) for network in self.networks]
            said: Tensor = torch.stack(odds).mean(dim=0).sigmoid()
            return said
        logs = [network(images).log_softmax(dim=1) for network in self.networks]
        if len(logs) == 1:
            alone: Tensor = logs[0].exp()
            return alone
        pooled = torch.stack([each.clamp_min(math.log(LEAST)) for each in logs]).mean(dim=0)
        together: Tensor = pooled.softmax(dim=1)
        return together


def check_onnx_packages() -> None:
    """Make sure that ONNX files can be written and run.

    Raises:
        ExportError: a package is missing.
    """
    try:
        import onnx  # noqa: F401
        import onnxruntime  # noqa: F401
        import onnxscript  # noqa: F401
    except ImportError:
        raise ExportError(_MISSING) from None


def write_onnx(folder: Path, exported: Exported) -> None:
    """Write `model.onnx` into a folder that has the networks.

    The graph takes `images`, float32 (batch, 3, size, size), normalised, and gives
    `probabilities`, float32 (batch, n_classes); the batch is dynamic.

    Raises:
        ExportError: torch cannot express the network so.
        OSError: the file cannot be written.
    """
    n_classes, side = len(exported.class_names), exported.preprocessing.image_size
    networks = [load_exported(folder / m.folder, n_classes) for m in exported.members]
    try:
        model = _Probabilities(networks, several_labels=exported.several_labels)
        content = _graph(model.eval(), side)
    except Exception as error:  # of nearly any type, as the network's code is traced
        raise ExportError(
            f"{exported.members[0].architecture} cannot be written as ONNX "
            f"({first_line(error)}); export without --onnx"
        ) from error
    (folder / ONNX).write_bytes(content)


def _graph(model: nn.Module, side: int) -> bytes:
    example = torch.zeros(2, 3, side, side)
    batch = torch.export.Dim("batch")
    with _quiet():
        program = torch.onnx.export(
            model,
            (example,),
            dynamo=True,
            dynamic_shapes=({0: batch},),
            input_names=[INPUT],
            output_names=[OUTPUT],
            verbose=False,
        )
    assert program is not None
    content: bytes = program.model_proto.SerializeToString()
    return content


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep what torch says of its own exporter from the user."""
    with (
        warnings.catch_warnings(),
        contextlib.redirect_stdout(io.StringIO()),
        contextlib.redirect_stderr(io.StringIO()),
    ):
        warnings.simplefilter("ignore")
        disabled = logging.root.manager.disable
        logging.disable(logging.ERROR)
        try:
            yield
        finally:
            logging.disable(disabled)
