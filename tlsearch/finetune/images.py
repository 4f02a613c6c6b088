"""The images of a study on a device."""

from dataclasses import dataclass, replace

import torch

from tlsearch.data import DeviceImages, TrainingData


@dataclass(frozen=True)
class FineTuneData:
    """Training and validation images on a device; many fine-tunings use the same ones.

    Attributes:
        train: for training.
        val: for validation.
        n_classes: of all images.
        clean: the training images at the size of validation; None = those of `train`.
    """

    train: DeviceImages
    val: DeviceImages
    n_classes: int
    clean: DeviceImages | None = None

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
        return cls(
            DeviceImages(data.train, device),
            DeviceImages(data.val, device),
            len(data.class_names),
            DeviceImages(data.clean, device) if data.clean is not None else None,
        )
