"""Images, labels and splits: from a data spec to normalised batches on a device.

Each name is imported when it is first used, so that who only decodes images loads no torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tlsearch.data.cache import features_folder, load_training_data, read_once
    from tlsearch.data.cachefile import read_arrays, write_arrays
    from tlsearch.data.catalog import load_catalog
    from tlsearch.data.cleaning import Cleaned, write_clean_manifest
    from tlsearch.data.colours import Look, narrow_range
    from tlsearch.data.crops import seed_from
    from tlsearch.data.domain import Domain, load_domain
    from tlsearch.data.duplicates import Copy, find_copies
    from tlsearch.data.fitting import stored_size
    from tlsearch.data.heap import kept_memory
    from tlsearch.data.imageset import ImageSet, TrainingData
    from tlsearch.data.kept_names import content_of_test_images, keep_names, what_changed
    from tlsearch.data.memory import (
        as_text,
        enough_memory,
        evaluated_at_once,
        free_bytes,
        in_batches_that_fit,
    )
    from tlsearch.data.mixing import mixed_batches
    from tlsearch.data.needs import decoded_bytes
    from tlsearch.data.pipeline import (
        DeviceImages,
        evaluation_batches,
        train_batches,
        val_batches,
    )
    from tlsearch.data.readable import ReadImages, find_images, load_readable
    from tlsearch.data.reading import Unread, watched_reading
    from tlsearch.data.references import Catalog, ImageRef, PassedOver, passed_text
    from tlsearch.data.seen import Channels, SeenClass, channels_of, seen_classes
    from tlsearch.data.sizes import load_for_recipe
    from tlsearch.data.spellings import spelled_alike
    from tlsearch.data.views import CENTRE, View, ten_crop

_HOMES = {
    "CENTRE": "views",
    "Catalog": "references",
    "Channels": "seen",
    "Cleaned": "cleaning",
    "Copy": "duplicates",
    "DeviceImages": "pipeline",
    "Domain": "domain",
    "ImageRef": "references",
    "ImageSet": "imageset",
    "Look": "colours",
    "PassedOver": "references",
    "ReadImages": "readable",
    "SeenClass": "seen",
    "TrainingData": "imageset",
    "Unread": "reading",
    "View": "views",
    "as_text": "memory",
    "channels_of": "seen",
    "content_of_test_images": "kept_names",
    "decoded_bytes": "needs",
    "enough_memory": "memory",
    "evaluated_at_once": "memory",
    "evaluation_batches": "pipeline",
    "features_folder": "cache",
    "find_copies": "duplicates",
    "find_images": "readable",
    "free_bytes": "memory",
    "in_batches_that_fit": "memory",
    "kept_memory": "heap",
    "keep_names": "kept_names",
    "load_catalog": "catalog",
    "load_domain": "domain",
    "load_for_recipe": "sizes",
    "load_readable": "readable",
    "load_training_data": "cache",
    "mixed_batches": "mixing",
    "narrow_range": "colours",
    "passed_text": "references",
    "read_arrays": "cachefile",
    "read_once": "cache",
    "seed_from": "crops",
    "seen_classes": "seen",
    "spelled_alike": "spellings",
    "stored_size": "fitting",
    "ten_crop": "views",
    "train_batches": "pipeline",
    "val_batches": "pipeline",
    "watched_reading": "reading",
    "what_changed": "kept_names",
    "write_arrays": "cachefile",
    "write_clean_manifest": "cleaning",
}

__all__ = [
    "CENTRE",
    "Catalog",
    "Channels",
    "Cleaned",
    "Copy",
    "DeviceImages",
    "Domain",
    "ImageRef",
    "ImageSet",
    "Look",
    "PassedOver",
    "ReadImages",
    "SeenClass",
    "TrainingData",
    "Unread",
    "View",
    "as_text",
    "channels_of",
    "content_of_test_images",
    "decoded_bytes",
    "enough_memory",
    "evaluated_at_once",
    "evaluation_batches",
    "features_folder",
    "find_copies",
    "find_images",
    "free_bytes",
    "in_batches_that_fit",
    "keep_names",
    "kept_memory",
    "load_catalog",
    "load_domain",
    "load_for_recipe",
    "load_readable",
    "load_training_data",
    "mixed_batches",
    "narrow_range",
    "passed_text",
    "read_arrays",
    "read_once",
    "seed_from",
    "seen_classes",
    "spelled_alike",
    "stored_size",
    "ten_crop",
    "train_batches",
    "val_batches",
    "watched_reading",
    "what_changed",
    "write_arrays",
    "write_clean_manifest",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
