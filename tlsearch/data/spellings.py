"""Classes that may be one class in two spellings."""

from collections.abc import Sequence
from unicodedata import normalize


def spelled_alike(class_names: Sequence[str]) -> list[tuple[str, ...]]:
    """Return the classes that differ in case, spaces, hyphens or Unicode form alone."""
    found: dict[str, list[str]] = {}
    for name in class_names:
        found.setdefault(_plain(name), []).append(name)
    return [tuple(names) for names in found.values() if len(names) > 1]


def _plain(name: str) -> str:
    folded = normalize("NFKC", normalize("NFKC", name).casefold())
    return "".join(char for char in folded if not (char.isspace() or char in "_-")) or name
