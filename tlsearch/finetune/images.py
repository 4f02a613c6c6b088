"""The images of a study on a device."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from tlsearch.data import DeviceImages, ImageSet, TrainingData


@dataclass(frozen=True)
class FineTuneData:
    """Training and validation images on a device; many fine-tunings use the same ones.

    Attributes:
        train: for training.
        val: for validation.
        n_classes: of all images.
        clean: the training images at the size of validation; None = those of `train`.
        folds: int64 (n,) on the CPU, of each image, where each is validated once, by a network that
            was trained on the other folds; `train` and `val` are then the same n images. None =
            there are no folds.
    """

    train: DeviceImages
    val: DeviceImages
    n_classes: int
    clean: DeviceImages | None = None
    folds: Tensor | None = None

    @property
    def n_folds(self) -> int:
        """The number of folds; 0 where there are none."""
        return 0 if self.folds is None else 1 + int(self.folds.max())

    def of_fold(self, fold: int) -> "FineTuneData":
        """Return the images of a fold for validation, and those of the others for training."""
        assert self.folds is not None
        held_out, others = self.held_out(fold), torch.nonzero(self.folds != fold).squeeze(1)
        clean = None if self.clean is None else self.clean.taken(others)
        train, val = self.train.taken(others), self.val.taken(held_out)
        return FineTuneData(train, val, self.n_classes, clean)

    def held_out(self, fold: int) -> Tensor:
        """Return which images a fold has, int64 (m,)."""
        assert self.folds is not None
        return torch.nonzero(self.folds == fold).squeeze(1)

    def in_order(self, of_folds: Sequence[Tensor]) -> Tensor:
        """Put a row for each image of each fold, (m, n_classes), into the order of the images."""
        found = torch.cat(list(of_folds))
        held_out = torch.cat([self.held_out(fold) for fold in range(len(of_folds))])
        return found[held_out.argsort().to(found.device)]

    def with_val(self, val: DeviceImages | None = None) -> "FineTuneData":
        """Return the same with the validation images behind the training images.

        They stay what is evaluated.

        Args:
            val: the validation images at the size of training; None = that is the size of
                validation as well.
        """
        train = self.train.joined(self.val if val is None else val)
        clean = None if self.clean is None else self.clean.joined(self.val)
        return replace(self, train=train, clean=clean)

    @classmethod
    def on_device(cls, data: TrainingData, device: torch.device) -> "FineTuneData":
        """Copy the images to the device as uint8."""
        placed: dict[int, DeviceImages] = {}  # folds are of one set of images

        def on(images: ImageSet) -> DeviceImages:
            if id(images) not in placed:
                placed[id(images)] = DeviceImages(images, device)
            return placed[id(images)]

        return cls(
            on(data.train),
            on(data.val),
            len(data.class_names),
            on(data.clean) if data.clean is not None else None,
            torch.from_numpy(data.folds) if data.folds is not None else None,
        )
