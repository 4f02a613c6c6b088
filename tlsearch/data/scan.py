"""Walks folders of images, and notes every file that it passes over, and why."""

import os
import stat
import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tlsearch.data.formats import (
    BROKEN_LINK,
    FOREIGN,
    HIDDEN,
    SECOND_LINK,
    SPECIAL,
    Kind,
    is_foreign,
    is_hidden,
    kind_of,
    opened_by_first,
    opens,
)
from tlsearch.data.references import PassedOver
from tlsearch.data.split_names import first_split_of, split_of

FolderId = tuple[int, int]  # device and number, the same for every link to it


@dataclass(frozen=True)
class Rules:
    """How a folder is read.

    Attributes:
        split_of: the split that a folder's name means.
        opens: whether files with an ending are images.
        links: whether linked folders inside a class belong to it.
        foreign: whether folders and files of other programs are passed over.
        strict: whether a layout that may be mistaken is refused.
    """

    split_of: Callable[[str], str | None] = split_of
    opens: Callable[[str], bool] = opens
    links: bool = True
    foreign: bool = True
    strict: bool = True


NOW = Rules()
CLASSES = Rules(split_of=lambda _: None, strict=False)  # every folder is a class
FIRST = Rules(first_split_of, opened_by_first, links=False, foreign=False, strict=False)  # of 0.2.0


@dataclass
class Scan:
    """What was found in a folder so far.

    Attributes:
        root: the folder.
        rules: how it is read.
    """

    root: Path
    rules: Rules
    _passed: dict[Kind, list[tuple[str, int]]] = field(default_factory=dict)

    def name(self, path: Path) -> str:
        """Return a name for `path` that is equal on every file system."""
        return composed(path.relative_to(self.root).as_posix())

    def visible(self, folder: Path) -> list[Path]:
        """Return what is in a folder, sorted; notes what is hidden or of another program."""
        found = sorted(folder.iterdir())
        return [path for path in found if not self._pass_by_name(path)]

    def pass_over(self, kind: Kind, path: Path) -> None:
        """Note a file, or a folder with all of its files."""
        is_folder = path.is_dir() and kind is not SECOND_LINK
        n_files = count_files(path) if is_folder else int(kind is not SECOND_LINK)
        name = self.name(path) + "/" * path.is_dir()
        self._passed.setdefault(kind, []).append((name, n_files))

    def passed(self) -> tuple[PassedOver, ...]:
        """Return what was passed over, the kinds with most files first."""
        found = [
            PassedOver(kind, tuple(sorted(n for n, _ in noted)), sum(n for _, n in noted))
            for kind, noted in self._passed.items()
        ]
        return tuple(sorted(found, key=lambda each: (-each.n_files, each.kind.many)))

    def images(self, folder: Path, read: set[FolderId]) -> Iterator[Path]:
        """Yield the images in a folder and the folders inside; notes what else is there.

        Args:
            folder: of a class.
            read: the folders that are read without following a link inside of them, and those
                above; those that are read by a link are added. So a cycle of links ends.
        """
        waiting = [(folder, False)]
        while waiting:
            current, linked = waiting.pop()
            for path in self.visible(current):
                if path.is_dir():
                    by_link = linked or path.is_symlink()
                    if not by_link or self._may_follow(path, read):
                        waiting.append((path, by_link))
                elif self._is_image(path):
                    yield path

    def folder_ids(self, folder: Path) -> set[FolderId]:
        """Return the ids of a folder and those inside, without following links inside."""
        found = set()
        for current, names, _ in os.walk(folder, onerror=_raise):
            names[:] = [name for name in names if not self.is_skipped(name)]
            found.add(folder_id(Path(current)))
        return found

    def _may_follow(self, folder: Path, read: set[FolderId]) -> bool:
        if not self.rules.links:
            return False
        if (found := folder_id(folder)) in read:
            self.pass_over(SECOND_LINK, folder)
            return False
        read.add(found)
        return True

    def why_not(self, path: Path) -> Kind | None:
        """Return why a file is passed over; None where it is an image by its name.

        A link that leads nowhere and is an image by its name is said where it is read.
        """
        is_image = self.rules.opens(path.suffix.lower())
        try:
            mode = path.stat().st_mode
        except OSError:
            return None if is_image else BROKEN_LINK
        if not stat.S_ISREG(mode):
            return SPECIAL
        return None if is_image else kind_of(path)

    def _is_image(self, path: Path) -> bool:
        kind = self.why_not(path)
        if kind is not None:
            self.pass_over(kind, path)
        return kind is None

    def _pass_by_name(self, path: Path) -> bool:
        if not self.is_skipped(path.name):
            return False
        self.pass_over(HIDDEN if is_hidden(path.name) else FOREIGN, path)
        return True

    def is_skipped(self, name: str) -> bool:
        """Whether what has this name is hidden or of another program."""
        if self.rules.foreign:
            return is_hidden(name) or is_foreign(name)
        return is_hidden(name) or name == "__MACOSX"


def composed(name: str) -> str:
    """Return a name in the Unicode form that is equal on every file system."""
    return unicodedata.normalize("NFC", name)


def count_files(folder: Path) -> int:
    """Return the number of files in a folder and those inside; 0 where it cannot be read."""
    return sum(len(files) for _, _, files in os.walk(folder))


def folder_id(folder: Path) -> FolderId:
    """Return what is equal for every link to a folder."""
    found = folder.stat()
    return found.st_dev, found.st_ino


def _raise(error: OSError) -> None:
    raise error
