"""The four data sets of the paper by name, with its splits.

Plested, Shen and Gedeon, "Rethinking binary hyperparameters for deep transfer learning for image
classification", section 4: the standard splits where there are any. Caltech256-30 is the first 30
images of each class for training, the next 20 for validation and the others for testing; clutter
is no class. The Cars have no validation images: they are split off the training images here.
"""

import re
from collections import defaultdict
from pathlib import Path

from tlsearch.data.reading import listed
from tlsearch.data.references import TEST, TRAIN, VAL, ImageRef, SourceImages
from tlsearch.data.torchvision_sets import read_torchvision
from tlsearch.errors import DataError
from tlsearch.spec import PAPER, TORCHVISION, DataSpec

CALTECH = "caltech256-30"
OTHERS = {"stanford-cars": "StanfordCars", "fgvc-aircraft": "FGVCAircraft", "dtd": "DTD"}
_TRAIN, _VAL = 30, 20  # images of a class
_FOLDER = "caltech256/256_ObjectCategories"
_DOWNLOAD = "https://data.caltech.edu/records/nyy15-4j048/files/256_ObjectCategories.tar"
_CLASS = re.compile(r"(\d{3})\.(.+)")
_IMAGE = re.compile(r"(\d{3})_(\d{4})\.jpe?g", re.IGNORECASE)
_CLUTTER = "257.clutter"


def read_paper(spec: DataSpec) -> SourceImages:
    """Read the set that `spec.path` names in `spec.root`.

    Raises:
        DataError: no such set, or it is not there; the sentence says what to download and where it
            belongs.
    """
    name, slash, partition = spec.path.removeprefix(PAPER).partition("/")
    if name in OTHERS:
        return read_torchvision(
            spec.model_copy(update={"path": f"{TORCHVISION}{OTHERS[name]}{slash}{partition}"})
        )
    if name != CALTECH or slash:
        known = ", ".join(f"{PAPER}{each}" for each in (CALTECH, *OTHERS))
        raise DataError(f"{spec.path}: is not a set of the paper; use {known}, {PAPER}dtd/2 ...")
    if not spec.root:
        raise DataError(f"{spec.path}: set data.root to the folder that has {_FOLDER}")
    return _caltech(spec.path, Path(spec.root).expanduser().absolute())


def _caltech(where: str, root: Path) -> SourceImages:
    folder = root / _FOLDER
    try:
        found = [each for each in sorted(folder.iterdir()) if _CLASS.fullmatch(each.name)]
    except OSError:
        found = []
    classes = [each for each in found if each.is_dir() and each.name != _CLUTTER]
    if not classes:
        raise DataError(
            f"{where}: is not in {folder}; download {_DOWNLOAD}, and unpack it in "
            f"{folder.parent}; nothing is downloaded here"
        )
    splits: dict[str, list[ImageRef]] = defaultdict(list)
    few = []
    for label, path in enumerate(classes):
        images = sorted(each for each in path.iterdir() if _IMAGE.fullmatch(each.name))
        if len(images) <= _TRAIN + _VAL:
            few.append(f"{path.name} ({len(images)})")
        for place, image in enumerate(images):
            split = TRAIN if place < _TRAIN else VAL if place < _TRAIN + _VAL else TEST
            splits[split].append(ImageRef(image.relative_to(root).as_posix(), label, image))
    if few:
        raise DataError(
            f"{where}: has too few images for {_TRAIN} to train, {_VAL} to validate and others to "
            f"test in {listed(few)}; unpack the set again"
        )
    names = tuple(path.name.partition(".")[2] for path in classes)
    return SourceImages(where, names, {split: tuple(splits[split]) for split in (TRAIN, VAL, TEST)})
