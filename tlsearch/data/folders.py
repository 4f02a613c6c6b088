"""Reads a folder of images: one folder per class, with or without train/, val/ and test/."""

from collections.abc import Iterator, Mapping
from pathlib import Path

from tlsearch.data.formats import BESIDE, LOOSE, SECOND_LINK, Kind
from tlsearch.data.layout import check_layout, split_folders
from tlsearch.data.reading import listed
from tlsearch.data.references import TRAIN, ImageRef, SourceImages
from tlsearch.data.scan import NOW, FolderId, Rules, Scan, composed, folder_id
from tlsearch.errors import DataError

Tree = dict[str, list[Path]]  # folders by class; names of several may differ in Unicode form alone


def read_folder(root: Path, rules: Rules = NOW) -> SourceImages:
    """Read class folders in `root`, or in its folders of splits.

    A split may have any name that `split_of` knows. Folders inside a class folder belong to the
    class, linked ones too. All files that are not images of a class are noted in `passed`.

    Raises:
        DataError: there are no class folders, the splits have different classes, or what is a split
            and what a class may be mistaken.
    """
    try:
        return _read_splits(Scan(root, rules))
    except OSError as error:
        raise DataError(
            f"{error.filename or root}: cannot be read ({error.strerror}); give read permission"
        ) from None


def _read_splits(scan: Scan) -> SourceImages:
    root = scan.root
    folders = split_folders(scan)
    if TRAIN in folders:
        _pass_over_beside(scan, folders)
    trees = {split: _class_folders(scan, folder) for split, folder in folders.items()}
    class_names = tuple(next(iter(trees.values())))
    for split, tree in trees.items():
        _check_same_classes(root, folders, set(class_names), split, set(tree))
    splits = {
        split: tuple(_references(scan, tree, _read_without_links(scan, folders[split], tree)))
        for split, tree in trees.items()
    }
    return SourceImages(str(root), class_names, splits, scan.passed())


def _class_folders(scan: Scan, folder: Path) -> Tree:
    """Return the class folders by name, sorted; notes files beside them."""
    entries = scan.visible(folder)
    found = [path for path in entries if path.is_dir()]
    for path in entries:
        if path not in found:
            scan.pass_over(_beside(scan, path), path)
    check_layout(scan, folder, found)
    tree: Tree = {}
    real: set[FolderId] = {folder_id(above) for above in (folder, *folder.parents)}
    for path in sorted(found, key=lambda each: (each.is_symlink(), each)):
        if path.is_symlink() and scan.rules.links and folder_id(path) in real:
            scan.pass_over(SECOND_LINK, path)
            continue
        real.add(folder_id(path))
        tree.setdefault(composed(path.name), []).append(path)
    if not tree:
        raise DataError(
            f"{folder}: has no class folders; put the images of each class into a folder "
            "with the name of the class"
        )
    return dict(sorted(tree.items()))


def _beside(scan: Scan, path: Path) -> Kind:
    return scan.why_not(path) or LOOSE


def _read_without_links(scan: Scan, folder: Path, tree: Tree) -> set[FolderId]:
    above = {folder_id(each) for each in (folder, *folder.parents)}
    return above.union(*(scan.folder_ids(path) for paths in tree.values() for path in paths))


def _references(scan: Scan, tree: Tree, read: set[FolderId]) -> Iterator[ImageRef]:
    for label, folders in enumerate(tree.values()):
        found = [path for folder in folders for path in scan.images(folder, read)]
        named = sorted(
            (scan.name(path), plain != scan.name(path), plain, path)
            for path in found
            for plain in [path.relative_to(scan.root).as_posix()]
        )
        taken: set[str] = set()
        for composed_name, _, plain, path in named:  # of two that differ in form, one keeps its own
            name = plain if composed_name in taken else composed_name
            taken.add(name)
            yield ImageRef(name, label, path)


def _check_same_classes(
    root: Path, folders: Mapping[str, Path], expected: set[str], split: str, found: set[str]
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


def _pass_over_beside(scan: Scan, folders: Mapping[str, Path]) -> None:
    for path in scan.visible(scan.root):
        if path not in folders.values():
            scan.pass_over(BESIDE if path.is_dir() else _beside(scan, path), path)
