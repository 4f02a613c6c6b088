"""`tlsearch check --write-manifest`: the images that can be read, as a manifest."""

from pathlib import Path
from typing import TYPE_CHECKING

from tlsearch.cli.display import console, print_json
from tlsearch.errors import on_one_line

if TYPE_CHECKING:
    from tlsearch.data import Cleaned
    from tlsearch.spec import StudySpec

_SHOWN = 10  # damaged files, and copies


def clean(spec: "StudySpec", target: Path, drop_duplicates: bool, as_json: bool) -> None:
    """Write the manifest, and say what is not in it."""
    from tlsearch.cli.terminal_progress import TerminalProgress
    from tlsearch.data import write_clean_manifest
    from tlsearch.worker.materials import reading_images

    if as_json:
        print_json(_as_json(target, write_clean_manifest(spec.data, target, drop_duplicates)))
        return
    with TerminalProgress() as progress, reading_images(progress):
        cleaned = write_clean_manifest(spec.data, target, drop_duplicates)
    console.print("\n".join(_lines(target, cleaned, drop_duplicates)))


def _as_json(target: Path, cleaned: "Cleaned") -> dict[str, object]:
    return {
        "manifest": str(target),
        "images": dict(cleaned.images),
        "damaged": list(cleaned.damaged),
        "copies": [copy.as_dict() for copy in cleaned.copies],
        "dropped": list(cleaned.dropped),
    }


def _lines(target: Path, cleaned: "Cleaned", drop_duplicates: bool) -> list[str]:
    images = cleaned.images
    lines = [
        f"written   {target}: {images.get('train', 0)} train, {images.get('val', 0)} validation, "
        f"{images.get('test', 0)} test images",
        f"damaged   {len(cleaned.damaged)} left out{_colon(cleaned.damaged)}",
    ]
    did = f"{len(cleaned.dropped)} left out" if drop_duplicates else "none left out"
    leaks = sum(copy.leaks for copy in cleaned.copies)
    texts = [copy.text for copy in cleaned.copies]
    across = f", {leaks} of them of another split (a leak)" if leaks else ""
    number = "1 image" if len(texts) == 1 else f"{len(texts)} images"
    lines.append(f"copies    {number} like another{across}; {did}{_colon(texts)}")
    return [*lines, f'to use it: set data.path = "{target}" in the spec']


def _colon(items: "list[str] | tuple[str, ...]") -> str:
    more = [f"and {len(items) - _SHOWN} more"] if len(items) > _SHOWN else []
    shown = [on_one_line(item) for item in items[:_SHOWN]]
    return "".join(f"\n          {item}" for item in [*shown, *more])
