"""Images, labels and splits: from a data spec to normalised batches on a device."""

from tlsearch.data.cache import load_training_data, verify_images
from tlsearch.data.catalog import load_catalog
from tlsearch.data.decode import stored_size
from tlsearch.data.imageset import ImageSet, TrainingData
from tlsearch.data.pipeline import DeviceImages, train_batches, val_batches
from tlsearch.data.references import Catalog, ImageRef

__all__ = [
    "Catalog",
    "DeviceImages",
    "ImageRef",
    "ImageSet",
    "TrainingData",
    "load_catalog",
    "load_training_data",
    "stored_size",
    "train_batches",
    "val_batches",
    "verify_images",
]
