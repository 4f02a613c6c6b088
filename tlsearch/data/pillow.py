"""What is asked of Pillow: room for colour profiles, and warnings that name the image."""

import logging
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from PIL import Image, PngImagePlugin

from tlsearch.errors import first_line

TEXT_BYTES = 64 << 20  # of one colour profile or text in a PNG; Pillow's own 1 MB refuses real ones
TEXTS_BYTES = 256 << 20
_LISTED = 5

_log = logging.getLogger(__name__)
_here = threading.local()
_said: set[str] = set()

PngImagePlugin.MAX_TEXT_CHUNK = max(PngImagePlugin.MAX_TEXT_CHUNK, TEXT_BYTES)
PngImagePlugin.MAX_TEXT_MEMORY = max(PngImagePlugin.MAX_TEXT_MEMORY, TEXTS_BYTES)


@contextmanager
def named_warnings() -> Iterator[None]:
    """Gather what Pillow warns of in any thread, and say it once with the images' names.

    An image is named where its reader has called `reading_now`.
    """
    found: list[str] = []
    with warnings.catch_warnings():
        warnings.filterwarnings("always", module=r"PIL\.")
        others = warnings.showwarning

        def show(message: Warning | str, category: type[Warning], *where: Any) -> None:
            place = getattr(_here, "place", None)
            if place is None:
                others(message, category, *where)
            else:
                found.append(f"{place} ({_words(message, category)})")

        warnings.showwarning = show  # type: ignore[assignment]
        try:
            yield
        finally:
            _say(sorted(set(found) - _said))


def reading_now(place: str) -> None:
    """Say which image this thread reads from now on."""
    _here.place = place


def _words(message: Warning | str, category: type[Warning]) -> str:
    if issubclass(category, Image.DecompressionBombWarning):
        return "very large"
    return " ".join(first_line(Exception(str(message))).split()).rstrip(". ")


def _say(found: list[str]) -> None:
    if not found:
        return
    _said.update(found)
    more = f" and {len(found) - _LISTED} more" if len(found) > _LISTED else ""
    listed = ", ".join(found[:_LISTED])
    what = "1 image is" if len(found) == 1 else f"{len(found)} images are"
    _log.warning("%s odd, but can be read: %s%s", what, listed, more)
