"""Loads an exported model."""

from os import PathLike
from pathlib import Path

from tlsearch.errors import ExportError
from tlsearch.predict.exported import NAME, ONNX, check_files, read_exported
from tlsearch.predict.predictor import Predictor


def load(folder: str | PathLike[str], *, device: str = "auto", onnx: bool = False) -> Predictor:
    """Load the model of a folder that `tlsearch export` wrote.

    Every file that is used is compared with its checksum first.

    Args:
        folder: the exported one.
        device: auto, cpu, cuda or cuda:N.
        onnx: use `model.onnx` under ONNX Runtime, without torch.

    Raises:
        ExportError: it is no such folder, or a file is missing, damaged or does not fit.
        InputError: there is no such device.
    """
    path = Path(folder)
    exported = read_exported(path)
    if onnx:
        if ONNX not in exported.files:
            raise ExportError(f"{path}: has no {ONNX}; export the model again with --onnx")
        check_files(path, exported, [ONNX])
        from tlsearch.predict.onnx_model import OnnxModel

        return Predictor(exported, OnnxModel(path / ONNX, exported, device))
    if not exported.members:
        raise ExportError(f"{path / NAME}: names no network; export the model again")
    check_files(path, exported, [name for m in exported.members for name in m.files()])
    from tlsearch.predict.torch_model import TorchModel

    return Predictor(exported, TorchModel(path, exported, device))
