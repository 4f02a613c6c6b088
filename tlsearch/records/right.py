"""Which images a model gets right, or what each adds to its score, as a text."""

import base64
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # so that commands that compare nothing start without it
    import numpy as np
    from numpy.typing import NDArray

VAL_RIGHT = "val_right"  # the trial's user attribute that holds it
MEAN_RIGHT = "mean_right"  # the same of its mean with fixed features
# The same of an objective other than accuracy: a value an image, whose mean is the score.
VAL_VALUES, MEAN_VALUES = "val_values", "mean_values"


def right_as_text(right: "NDArray[np.bool_]") -> str:
    """Return a bit an image in base64: 10,000 images take 1,700 characters.

    Args:
        right: whether each image is right, bool (n,).
    """
    import numpy as np

    return base64.b64encode(np.packbits(right).tobytes()).decode()


def right_from_text(text: str, n: int) -> "NDArray[np.bool_]":
    """Read what `right_as_text` wrote of n images.

    Raises:
        ValueError: it is not of n images.
    """
    import numpy as np

    packed = np.frombuffer(base64.b64decode(text, validate=True), np.uint8)
    if len(packed) != -(-n // 8):
        raise ValueError(f"{8 * len(packed)} bits are not of {n} images")
    return np.unpackbits(packed, count=n).astype(bool)


def values_as_text(values: "NDArray[np.float64]") -> str:
    """Return a number an image in base64, four bytes each: 10,000 images take 53,000 characters.

    Args:
        values: (n,).
    """
    return base64.b64encode(values.astype("<f4").tobytes()).decode()


def values_from_text(text: str, n: int) -> "NDArray[np.float64]":
    """Read what `values_as_text` wrote of n images.

    Raises:
        ValueError: it is not of n images.
    """
    import numpy as np

    found = np.frombuffer(base64.b64decode(text, validate=True), "<f4").astype(np.float64)
    if len(found) != n:
        raise ValueError(f"{len(found)} values are not of {n} images")
    return found
