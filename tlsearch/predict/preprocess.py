"""Makes the network's input of images: the pixels of the validation pipeline, in NumPy alone.

`tlsearch.data` resizes as it decodes (`fit`), cuts the centre out of the stored bytes and
normalises in float32. This does the same on an image at a time; tests compare both bit by bit.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tlsearch.data.fitting import before_centre, fit
from tlsearch.data.references import Pixels
from tlsearch.predict.exported import Preprocessing

Inputs = NDArray[np.float32]


def centre_crop(image: Image.Image, preprocessing: Preprocessing) -> Pixels:
    """Resize an RGB image and cut the centre out.

    Returns:
        uint8 (image_size, image_size, 3).
    """
    size, resize = preprocessing.image_size, preprocessing.resize
    pixels = np.asarray(fit(image, preprocessing.short_side, resize))
    top, left = (before_centre(side - size, resize) for side in pixels.shape[:2])
    return np.ascontiguousarray(pixels[top : top + size, left : left + size])


def normalised(crops: Sequence[Pixels], preprocessing: Preprocessing) -> Inputs:
    """Compute `(pixel / 255 - mean) / std`.

    Args:
        crops: b images of `centre_crop`.
        preprocessing: for mean and std.

    Returns:
        float32 (b, size, size, 3).
    """
    means, stds = (np.array(v, np.float64) for v in (preprocessing.mean, preprocessing.std))
    scale, shift = (1 / (255 * stds)).astype(np.float32), (-means / stds).astype(np.float32)
    values = np.stack(crops).astype(np.float32)
    values *= scale
    values += shift
    return values
