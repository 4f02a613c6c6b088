"""Several crops of one image, to predict it from all of them.

Krizhevsky, Sutskever and Hinton, "ImageNet classification with deep convolutional neural networks"
(2012), section 4.1: the four corners and the centre, each with its mirror image.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from tlsearch.data.crops import centred
from tlsearch.records.resize import Resize

_CORNERS = ((0, 0), (0, 1), (1, 0), (1, 1))  # down, right


@dataclass(frozen=True, slots=True)
class View:
    """Where a crop lies in an image.

    Attributes:
        corner: how far down and right it lies, each 0 or 1; None = the centre.
        mirrored: whether it is mirrored, left to right.
    """

    corner: tuple[int, int] | None = None
    mirrored: bool = False

    def boxes(self, sizes: Tensor, size: int, resize: Resize = "timm") -> Tensor:
        """Return the boxes (n, 4): top, left, height and width, pixels.

        Args:
            sizes: int64 (n, 2), height and width of each image, pixels.
            size: side of the crop, pixels.
            resize: by which rule the centre lies.
        """
        if self.corner is None:
            return centred(sizes, size, resize)
        corner = (sizes - size) * torch.tensor(self.corner)
        return torch.cat([corner, torch.full_like(sizes, size)], dim=1)


CENTRE = View()


def ten_crop(sizes: Tensor, size: int, *, mirror: bool) -> tuple[View, ...]:
    """Return the views of a 10-crop that differ, the centre first.

    Without mirror images there are five. Where no image is larger than the crop, the five are one
    and the same, so one is returned, and its mirror image.

    Args:
        sizes: int64 (n, 2), height and width of each image, pixels.
        size: side of the crop, pixels.
        mirror: whether mirror images are images of the same class.
    """
    has_border = bool((sizes > size).any())
    places = [CENTRE, *(View(corner) for corner in _CORNERS)] if has_border else [CENTRE]
    mirrored = [View(view.corner, True) for view in places] if mirror else []
    return (*places, *mirrored)
