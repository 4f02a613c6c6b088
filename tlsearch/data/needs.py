"""How much memory a study's decoded images will need."""

from collections.abc import Sequence

import numpy as np

from tlsearch.data.colours import Look
from tlsearch.data.fitting import fitted_size, stored_size
from tlsearch.data.imageset import canvas_bytes
from tlsearch.records.resize import Resize


def decoded_bytes(looks: Sequence[Look], image_size: int, eval_crop: float, resize: Resize) -> int:
    """Return what the images of one split take once they are decoded, here or on a device.

    Args:
        looks: of the images.
        image_size: side of the square that the network sees, pixels.
        eval_crop: that side as a share of the shorter side.
        resize: by which rule images get their size.
    """
    short_side = stored_size(image_size, eval_crop)
    sizes = [fitted_size(look.width, look.height, short_side, resize)[::-1] for look in looks]
    return canvas_bytes(np.array(sizes, dtype=np.int32).reshape(-1, 2))
