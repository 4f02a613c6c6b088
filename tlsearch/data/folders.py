"""Reads a folder of images: one folder per class, with or without train/, val/ and test/."""

import os
import stat
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tlsearch.data.reading import listed
from tlsearch.data.references import ALL, TEST, TRAIN, VAL, ImageRef, SourceImages
from tlsearch.errors import DataError

SPLIT_FOLDERS = {
    "train": TRAIN, "val": VAL, "valid": VAL, "validation": VAL, "test": TEST
}  # fmt: skip
EXTENSIONS = frozenset(
    {".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".bmp", ".dib", ".gif", ".tif", ".tiff"}
    | {".webp", ".avif", ".ppm", ".pgm", ".pbm", ".pnm", ".tga", ".jp2"}
)


def read_folder(root: Path) -> SourceImages:
    """Read class folders in `root`, or in its folders train/, val/ and test/.

    The name of `val` can also be valid or validation. Folders inside a class folder belong to the
    class. Skips hidden files; lists other files that are not images in `ignored`.

    Raises:
        DataError: there are no class folders, or the splits have different classes.
    """
    try:
        return _read_splits(root)
    except OSError as error:
        raise DataError(
            f"{error.filename or root}: cannot be read ({error.strerror}); give read permission"
        ) from None


@dataclass
class _Scan:
    """What was found in the folder so far."""

    root: Path
    ignored: list[str] = field(default_factory=list)

    def name(self, path: Path) -> str:
        """Return a name for `path` that is equal on every file system."""
        return unicodedata.normalize("NFC", path.relative_to(self.root).as_posix())


def _read_splits(root: Path) -> SourceImages:
    scan = _Scan(root)
    folders = _split_folders(root)
    if TRAIN in folders:
        _ignore_beside(scan, set(folders.values()))
    trees = {split: _class_folders(scan, folder) for split, folder in folders.items()}
    class_names = tuple(next(iter(trees.values())))
    for split, tree in trees.items():
        _check_same_classes(root, folders, set(class_names), split, set(tree))
    splits = {split: tuple(_references(scan, tree)) for split, tree in trees.items()}
    return SourceImages(str(root), class_names, splits, tuple(sorted(scan.ignored)))


def _split_folders(root: Path) -> dict[str, Path]:
    """Return the folder of each split, train first; `{all: root}` where there are no splits."""
    folders = [path for path in _visible(root) if path.is_dir()]
    splits = [path for path in folders if path.name.lower() in SPLIT_FOLDERS]
    train = next((path for path in splits if path.name.lower() == TRAIN), None)
    if not splits or (len(splits) < len(folders) and not (train and _has_folders(train))):
        return {ALL: root}  # then train is a class
    if train is None:
        raise DataError(
            f"{root}: has {splits[0].name}/ but no train/; "
            "add train/, or put the class folders directly into it"
        )
    found = {TRAIN: train}
    for path in splits:
        split = SPLIT_FOLDERS[path.name.lower()]
        if found.setdefault(split, path) != path:
            raise DataError(
                f"{root}: has both {found[split].name}/ and {path.name}/; keep one of them"
            )
    return found


def _class_folders(scan: _Scan, folder: Path) -> dict[str, Path]:
    """Return the class folders by name, sorted; adds files beside them to `ignored`."""
    entries = _visible(folder)
    scan.ignored += [scan.name(path) for path in entries if not path.is_dir()]
    folders = {unicodedata.normalize("NFC", p.name): p for p in entries if p.is_dir()}
    if not folders:
        raise DataError(
            f"{folder}: has no class folders; put the images of each class into a folder "
            "with the name of the class"
        )
    return dict(sorted(folders.items()))


def _references(scan: _Scan, tree: dict[str, Path]) -> Iterator[ImageRef]:
    for label, folder in enumerate(tree.values()):
        for name, path in sorted((scan.name(path), path) for path in _files(folder)):
            if path.suffix.lower() in EXTENSIONS and not _is_special(path):
                yield ImageRef(name, label, path)
            else:
                scan.ignored.append(name)


def _files(folder: Path) -> Iterator[Path]:
    for current, folders, files in os.walk(folder, onerror=_raise):
        folders[:] = [name for name in folders if not _hidden(name)]
        yield from (Path(current, name) for name in files if not _hidden(name))


def _check_same_classes(
    root: Path, folders: dict[str, Path], expected: set[str], split: str, found: set[str]
) -> None:
    if expected == found:
        return
    here, there = folders[split], next(iter(folders.values()))
    if expected - found:
        here, there = there, here
    odd = listed(repr(name) for name in sorted(expected - found or found - expected))
    raise DataError(
        f"{root}: {here.name}/ has the class {odd} but {there.name}/ does not; "
        "every split needs the same classes"
    )


def _ignore_beside(scan: _Scan, kept: set[Path]) -> None:
    others = [path for path in _visible(scan.root) if path not in kept]
    scan.ignored += [scan.name(path) + "/" * path.is_dir() for path in others]


def _visible(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if not _hidden(path.name))


def _has_folders(folder: Path) -> bool:
    return any(path.is_dir() for path in _visible(folder))


def _is_special(path: Path) -> bool:
    """Whether it is a pipe, a socket or a device, which could be read for ever."""
    try:
        return not stat.S_ISREG(path.stat().st_mode)
    except OSError:  # a broken link: said where it is read
        return False


def _hidden(name: str) -> bool:
    return name.startswith(".") or name == "__MACOSX"


def _raise(error: OSError) -> None:
    raise error
