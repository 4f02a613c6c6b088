"""Whether the images of a split have room on a GPU, and their way there."""

import numpy as np
import torch
from torch import Tensor

from tlsearch.data.imageset import ImageSet
from tlsearch.data.references import Pixels

SHARE = 0.5  # of a GPU's free memory that the images of a split may take
_CHUNK = 1 << 26  # bytes that are copied to the device at a time


def fits(images: ImageSet, device: torch.device) -> bool:
    """Return whether a device has room for a copy of the pixels; a CPU needs none."""
    if device.type != "cuda":
        return False
    free, _ = torch.cuda.mem_get_info(device)
    return images.pixels.nbytes <= SHARE * free


def copied(canvas: Pixels, device: torch.device) -> Tensor:
    """Copy a canvas (m, H, W, 3) to a device, channels first, without a second whole copy."""
    n, height, width, channels = canvas.shape
    found = torch.empty((n, channels, height, width), dtype=torch.uint8, device=device)
    step = max(1, _CHUNK // (height * width * channels))
    for start in range(0, n, step):
        part = np.array(canvas[start : start + step].transpose(0, 3, 1, 2), order="C")
        found[start : start + step] = torch.from_numpy(part)
    return found
