"""A graph under ONNX Runtime, without torch."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tlsearch.errors import ExportError, InputError, first_line
from tlsearch.predict.exported import Exported
from tlsearch.predict.preprocess import Inputs

INPUT, OUTPUT = "images", "probabilities"
_PROVIDERS = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}


class OnnxModel:
    """The graph of an exported folder, with a dynamic batch.

    Args:
        path: of the graph.
        exported: what the folder holds.
        device: auto, cpu, cuda or cuda:N.

    Raises:
        ExportError: onnxruntime is not installed, the graph cannot be loaded, or has other
            classes.
        InputError: ONNX Runtime has no such device here.
    """

    def __init__(self, path: Path, exported: Exported, device: str) -> None:
        try:
            import onnxruntime
        except ImportError:
            raise ExportError(
                "predicting with ONNX needs onnxruntime; pip install onnxruntime"
            ) from None
        providers = _providers(device, onnxruntime.get_available_providers())
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3  # errors alone
        try:
            self._session = onnxruntime.InferenceSession(path, options, providers=providers)
            shape = self._session.get_outputs()[0].shape
        except Exception as error:  # of the library's own types, which share no base
            raise ExportError(f"{path}: cannot be loaded ({first_line(error)})") from error
        if shape[-1] != len(exported.class_names):
            raise ExportError(
                f"{path}: gives {shape[-1]} classes, and tlsearch.json names "
                f"{len(exported.class_names)}; export the model again"
            )

    def probabilities(self, inputs: Inputs) -> NDArray[np.float32]:
        """Return float32 (b, n_classes) for float32 (b, size, size, 3), normalised."""
        images = np.ascontiguousarray(inputs.transpose(0, 3, 1, 2))
        found: NDArray[np.float32] = self._session.run([OUTPUT], {INPUT: images})[0]
        return found


def _providers(device: str, available: list[str]) -> list[str | tuple[str, dict[str, str]]]:
    kind, _, number = device.partition(":")
    cpu, cuda = _PROVIDERS["cpu"], _PROVIDERS["cuda"]
    if kind == "auto":
        return [name for name in (cuda, cpu) if name in available]
    if kind not in _PROVIDERS or _PROVIDERS[kind] not in available:
        raise InputError(f"ONNX Runtime has no device {device!r} here; give auto or cpu")
    return [cpu] if kind == "cpu" else [(cuda, {"device_id": number or "0"}), cpu]
