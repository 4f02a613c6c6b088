"""Networks under torch."""

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from tlsearch.backbones import load_exported
from tlsearch.errors import BackboneError, ExportError, InputError
from tlsearch.predict.exported import Exported
from tlsearch.predict.mean import mean_of
from tlsearch.predict.preprocess import Inputs


class TorchModel:
    """The networks of an exported folder; of several, the geometric mean of their probabilities.

    Args:
        folder: the exported one.
        exported: what it holds.
        device: auto, cpu, cuda or cuda:N.

    Raises:
        ExportError: a network cannot be loaded, or has other classes.
        InputError: there is no such device.
    """

    def __init__(self, folder: Path, exported: Exported, device: str) -> None:
        self._device = _device(device)
        self._several = exported.several_labels
        self._networks = []
        for member in exported.members:
            place = folder / member.folder
            try:
                network = load_exported(place, len(exported.class_names))
            except BackboneError as error:
                raise ExportError(f"{place}: {error}") from error
            network = network.eval().to(self._device).to(memory_format=torch.channels_last)
            self._networks.append(network)

    @torch.inference_mode()
    def probabilities(self, inputs: Inputs) -> NDArray[np.float32]:
        """Return float32 (b, n_classes) for float32 (b, size, size, 3), normalised; in fp32."""
        images = torch.from_numpy(inputs).permute(0, 3, 1, 2).to(self._device)
        outputs = [network(images).float() for network in self._networks]
        shares = [each.sigmoid() if self._several else each.softmax(dim=1) for each in outputs]
        found = [each.cpu().numpy() for each in shares]
        return found[0] if len(found) == 1 else mean_of(*found, several=self._several)


def _device(name: str) -> torch.device:
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError, NotImplementedError):
        raise InputError(f"device {name!r} is not there; give auto, cpu, cuda or cuda:N") from None
    return device
