"""Decides which folders are splits and which are classes; refuses what may be mistaken."""

from collections.abc import Sequence
from itertools import combinations
from pathlib import Path

from tlsearch.data.reading import listed
from tlsearch.data.references import ALL, TEST, TRAIN, VAL
from tlsearch.data.scan import Scan, composed
from tlsearch.errors import DataError

_MANY = 200  # so many folders are classes
_SAME = 2  # folders of the same names that make two folders splits
_SAY_CLASSES = 'or set data.format = "classes" where they are classes'


def split_folders(scan: Scan) -> dict[str, Path]:
    """Return the folder of each split, train first; `{all: root}` where there are no splits.

    Raises:
        DataError: two folders are the same split, or there is no train.
    """
    root, split_of = scan.root, scan.rules.split_of
    folders = [path for path in _entries(scan, root) if path.is_dir()]
    splits = [(split, path) for path in folders if (split := split_of(path.name))]
    train = next((path for split, path in splits if split == TRAIN), None)
    if not splits or not _are_splits(scan, folders, [path for _, path in splits], train):
        return {ALL: root}
    if train is None:
        raise DataError(
            f"{root}: has {splits[0][1].name}/ but no train/; "
            "add train/, or put the class folders directly into it"
        )
    found = {TRAIN: train}
    for split, path in splits:
        if found.setdefault(split, path) != path:
            raise DataError(
                f"{root}: has both {found[split].name}/ and {path.name}/; keep one of them"
            )
    if scan.rules.strict:
        _check_beside(scan, folders, found)
    return {split: found[split] for split in (TRAIN, VAL, TEST) if split in found}


def check_layout(scan: Scan, folder: Path, classes: Sequence[Path]) -> None:
    """Refuse class folders that look like splits, or like one folder around the classes.

    Raises:
        DataError: two of them hold folders of the same names and one of them no image itself, one
            holds folders of several splits, or there is only one and it holds several.
    """
    if not scan.rules.strict:
        return
    if len(classes) > _MANY:
        return
    inside = {path: _names(scan, path) for path in classes}
    bare = {path for path in classes if not _has_images(scan, path)}
    if len(classes) == 1 and len(inside[classes[0]]) > 1 and classes[0] in bare:
        (only,) = classes
        raise DataError(
            f"{folder}: has one folder, {only.name}/, which holds folders "
            f"({listed(sorted(inside[only]))}); set data.path to {only}"
        )
    for path, names in inside.items():
        splits = {scan.rules.split_of(name) for name in names} - {None}
        if len(splits) > 1 and path in bare:
            raise DataError(
                f"{folder}: {path.name}/ holds the splits {listed(sorted(names))}; put the splits "
                f"on top and the classes into them, as in train/{path.name}/"
            )
    for one, other in combinations([path for path in classes if len(inside[path]) >= _SAME], 2):
        both = inside[one] & inside[other]
        if len(both) >= _SAME and bare & {one, other}:
            raise DataError(
                f"{folder}: {one.name}/ and {other.name}/ hold folders of the same names "
                f"({listed(sorted(both))}), so they are splits, not classes; name the splits "
                f"train/, val/ and test/, {_SAY_CLASSES}"
            )


def _are_splits(
    scan: Scan, folders: Sequence[Path], splits: Sequence[Path], train: Path | None
) -> bool:
    if len(splits) == len(folders):
        return True
    if train is None or not _names(scan, train):
        return False  # then train is a class
    if len(splits) > 1 or not scan.rules.strict or train.name.lower() == TRAIN:
        return True
    # Of one word that may be a class: only where others hold the same folders.
    return any(_names(scan, path) & _names(scan, train) for path in folders if path != train)


def _check_beside(scan: Scan, folders: Sequence[Path], found: dict[str, Path]) -> None:
    classes = _names(scan, found[TRAIN])
    for path in folders:
        if path not in found.values() and len(classes & _names(scan, path)) >= _SAME:
            raise DataError(
                f"{scan.root}: {path.name}/ holds the same folders as {found[TRAIN].name}/ "
                f"({listed(sorted(classes & _names(scan, path)))}), but its name says no split; "
                "name it val/ or test/, or move it away"
            )


def _names(scan: Scan, folder: Path) -> set[str]:
    """Return the names of the folders in a folder."""
    return {composed(path.name) for path in _entries(scan, folder) if path.is_dir()}


def _has_images(scan: Scan, folder: Path) -> bool:
    return any(
        scan.rules.opens(path.suffix.lower()) and not path.is_dir()
        for path in _entries(scan, folder)
    )


def _entries(scan: Scan, folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if not scan.is_skipped(path.name))
