"""What `tlsearch check` shows of the images: samples as the network sees them, sizes, channels."""

from pathlib import Path
from statistics import median_low

from tlsearch.data import Channels, channels_of, seen_classes
from tlsearch.studies.checked_study import CheckedStudy


def draw_samples(checked: CheckedStudy, path: Path) -> None:
    """Draw a few images of each class as the network sees them, for training and validation.

    Raises:
        InputError: the file cannot be written, or is of another kind.
        DataError: an image cannot be read any more.
    """
    from tlsearch.report.class_picture import MOST_CLASSES, N_TRAIN, N_VAL, draw_classes

    statistics = checked.backbone.statistics
    seen = seen_classes(
        checked.catalog,
        checked.spec.recipe,
        (statistics.mean, statistics.std),
        MOST_CLASSES,
        N_TRAIN,
        N_VAL,
    )
    draw_classes(seen, len(checked.catalog.class_names), path)


def sides(checked: CheckedStudy) -> tuple[int, int, int]:
    """Return the least, the median and the greatest shorter side of all images, pixels."""
    found = [min(look.height, look.width) for look in checked.looks]
    return min(found), median_low(found), max(found)


def channels(checked: CheckedStudy) -> dict[str, Channels]:
    """Return what the channels of training and of validation images are like, by split.

    Raises:
        DataError: an image cannot be read any more.
    """
    catalog, recipe = checked.catalog, checked.spec.recipe
    return {"train": channels_of(catalog.train, recipe), "val": channels_of(catalog.val, recipe)}
