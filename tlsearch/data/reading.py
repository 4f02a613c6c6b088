"""Reads many images in threads, and reports all failures in one sentence."""

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeVar

from PIL import Image, UnidentifiedImageError

from tlsearch.data.memory import FEWER_IMAGES, as_text, enough_memory, free_bytes
from tlsearch.data.pillow import TEXT_BYTES, named_warnings, reading_now
from tlsearch.data.pointers import what_instead
from tlsearch.data.references import ImageRef
from tlsearch.errors import DataError, MemoryShortage, first_line, is_memory_shortage

T = TypeVar("T")


class Readable(Protocol):
    """What can be read: where a user finds it, and the file or the pixels."""

    @property
    def place(self) -> str: ...

    @property
    def source(self) -> object: ...


R = TypeVar("R", bound=Readable)
Tell = Callable[[int, int], None]  # images that are read, and all of them

MAX_THREADS = 8
SHOWN = 5
_PLENTY = 1 << 31  # with so many bytes free, a file that wants more is broken


_tell: ContextVar[Tell] = ContextVar("_tell", default=lambda *_: None)


@contextmanager
def watched_reading(tell: Tell) -> Iterator[None]:
    """Tell how many images are read, whoever reads them in the block."""
    token = _tell.set(tell)
    try:
        yield
    finally:
        _tell.reset(token)


def tell_read(n: int, total: int) -> None:
    """Tell that so many images are read, or fetched."""
    _tell.get()(n, total)


@contextmanager
def counted_within(start: int, total: int) -> Iterator[None]:
    """Count the images that are read in the block as part of more."""
    tell = _tell.get()
    with watched_reading(lambda n, _: tell(start + n, total)):
        yield


class UnreadableImageError(Exception):
    """An image that cannot be used; the text is a short reason."""


@dataclass(frozen=True, slots=True)
class Unread:
    """An image that could not be read.

    Attributes:
        place: where a user can find it.
        reason: why, in a few words.
    """

    place: str
    reason: str

    @property
    def text(self) -> str:
        """Return `place (reason)`."""
        return f"{self.place} ({self.reason})"


class UnreadableError(DataError):
    """Images that cannot be read.

    Attributes:
        images: which, and why.
    """

    def __init__(self, images: Sequence[Unread], text: str) -> None:
        self.images = tuple(images)
        super().__init__(text)


def read_all(
    refs: Sequence[ImageRef], read: Callable[[ImageRef], T]
) -> tuple[list[T], list[Unread]]:
    """Apply `read` to every image, in threads.

    Returns:
        The results in order, without the failures, and the failures.

    Raises:
        MemoryShortage: there is too little memory to read an image.
    """
    problems: list[Unread] = []
    results: list[T] = []
    for outcome in read_each(refs, read):
        if isinstance(outcome, Unread):
            problems.append(outcome)
        else:
            results.append(outcome)
    return results, problems


def read_each(
    refs: Sequence[R], read: Callable[[R], T], then: str = FEWER_IMAGES
) -> list[T | Unread]:
    """Apply `read` to every image, in threads.

    Args:
        refs: the images.
        read: what may raise anything for an image that is broken.
        then: what to do where there is too little memory.

    Returns:
        For each image, in order, what `read` returned, or why it could not be read.

    Raises:
        MemoryShortage: there is too little memory to read an image.
    """
    n_threads = min(MAX_THREADS, os.cpu_count() or 1)
    found: list[T | Unread] = []
    with (
        enough_memory("to read the images", then),
        named_warnings(),
        ThreadPoolExecutor(n_threads) as threads,
    ):
        tell = _tell.get()
        for outcome in threads.map(lambda ref: _attempt(ref, read, then), refs):
            found.append(outcome)
            tell(len(found), len(refs))
    return found


class Contents:
    """Hashes of the images of a data set, each read once."""

    def __init__(self) -> None:
        self._known: dict[str, bytes] = {}

    def of(self, refs: Sequence[ImageRef]) -> list[bytes]:
        """Return the SHA-256 of each image's content.

        Raises:
            DataError: some cannot be read.
        """
        new = [ref for ref in refs if ref.name not in self._known]
        found, problems = read_all(new, ImageRef.digest)
        if problems:
            raise unreadable(problems)
        self._known |= zip((ref.name for ref in new), found, strict=True)
        return [self._known[ref.name] for ref in refs]


def unreadable(images: Sequence[Unread]) -> UnreadableError:
    """Return one error for all images that cannot be read; it names the first five."""
    count = "1 image" if len(images) == 1 else f"{len(images)} images"
    named = listed(image.text for image in images)
    return UnreadableError(
        images, f"{count} cannot be read: {named}; replace or remove the broken files"
    )


def listed(items: Iterable[str]) -> str:
    """Return the first five items, and the number of the others."""
    items = list(items)
    more = [f"and {len(items) - SHOWN} more"] if len(items) > SHOWN else []
    return ", ".join([*items[:SHOWN], *more])


def _attempt(ref: R, read: Callable[[R], T], then: str) -> T | Unread:
    reading_now(ref.place)
    try:
        return read(ref)
    except Exception as error:  # for broken files Pillow raises nearly any type
        if is_memory_shortage(error):
            _check_memory(ref.place, then)
        return Unread(ref.place, _instead(ref.source) or _reason(error))


def _instead(source: object) -> str | None:
    return what_instead(source) if isinstance(source, Path) else None


def _check_memory(place: str, then: str) -> None:
    free = free_bytes()
    if free is not None and free < _PLENTY:
        raise MemoryShortage(
            f"too little memory to read {place} ({as_text(free)} can be had); {then}"
        )


def _reason(error: Exception) -> str:
    if isinstance(error, UnidentifiedImageError):
        return "not an image of a known format"
    if isinstance(error, Image.DecompressionBombError):
        return "has too many pixels"
    if isinstance(error, MemoryError):
        return "asks for more memory than there is"
    if isinstance(error, ValueError) and "_TEXT_" in str(error):  # names of Pillow's limits
        return f"has a colour profile or texts of more than {TEXT_BYTES >> 20} MB"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return first_line(error)
