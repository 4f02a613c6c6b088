"""Which images a data set has, kept in the user's cache: so that it can be said what changed."""

import hashlib
import json
import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from tlsearch.data.cache import cache_folder
from tlsearch.data.reading import read_all, unreadable
from tlsearch.data.references import Catalog, ImageRef

_SHOWN = 3
_DIGEST_BYTES = 8

Names = dict[str, list[object]]  # by name: split or fold, class, and a hash of the content


def keep_names(catalog: Catalog) -> None:
    """Keep which images a catalog has, unless that is kept; where it cannot be, it is not."""
    path = _path(catalog.fingerprint)
    with suppress(OSError):
        if path.exists():
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        half = path.with_suffix(f".{os.getpid()}")
        half.write_text(json.dumps(_names(catalog)))
        half.replace(path)


def content_of_test_images(catalog: Catalog) -> str:
    """Return a SHA-256 of the files of all test images, in their order; decodes none.

    The fingerprint of a catalog has their names and labels alone.

    Raises:
        DataError: some cannot be read.
    """
    digests, problems = read_all(catalog.test, ImageRef.digest)
    if problems:
        raise unreadable(problems)
    return hashlib.sha256(b"".join(digests)).hexdigest()


def what_changed(catalog: Catalog, fingerprint: str) -> str | None:
    """Say how a catalog differs from the one with a fingerprint, if that one was kept here."""
    try:
        before: Names = json.loads(_path(fingerprint).read_text())
        now = _names(catalog)
        gone, new = [n for n in before if n not in now], [n for n in now if n not in before]
        both = [name for name in before if name in now]
        moved = [name for name in both if before[name][:2] != now[name][:2]]
        changed = [name for name in both if before[name][2:] != now[name][2:]]
    except (OSError, ValueError, TypeError, AttributeError):
        return None
    found = {"new": new, "gone": gone, "in another class or split": moved, "changed": changed}
    return _sentence(found)


def _sentence(found: Mapping[str, list[str]]) -> str | None:
    parts = []
    for what, names in found.items():
        if names:
            more = ", ..." if len(names) > _SHOWN else ""
            parts.append(f"{len(names)} {what} ({', '.join(sorted(names)[:_SHOWN])}{more})")
    return ", ".join(parts) or None


def _names(catalog: Catalog) -> Names:
    refs = catalog.placed()
    digests, problems = read_all([ref for _, ref in refs], ImageRef.digest)
    if problems:
        raise OSError(problems[0].text)
    found: Names = {}
    for (split, ref), digest in zip(refs, digests, strict=True):
        found[ref.name] = [split, _named(catalog, ref), digest[:_DIGEST_BYTES].hex()]
    found |= {ref.name: ["test", _named(catalog, ref)] for ref in catalog.test}
    return found


def _named(catalog: Catalog, ref: ImageRef) -> object:
    names = [catalog.class_names[label] for label in ref.classes]
    return names if isinstance(ref.label, tuple) else names[0]


def _path(fingerprint: str) -> Path:
    return cache_folder() / f"{fingerprint}.names.json"
