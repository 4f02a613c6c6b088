"""The images of a study for people: classes and their numbers, and what was passed over."""

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from tlsearch.errors import on_one_line

if TYPE_CHECKING:
    from tlsearch.backbones import InputStatistics
    from tlsearch.data import Catalog, Channels, PassedOver, Unread

_FIRST, _LAST = 12, 3  # classes that are shown of many
_WIDEST = 40  # of a name, characters
_NAMES = 3
_UNREAD = 10  # images
_INDENT = " " * 10


def class_lines(catalog: "Catalog") -> list[str]:
    """Return a table of the classes with their numbers a split; of many the first and last."""
    heading = ["class", "train", "val", "test"]
    counts = [[_shown(name), *map(str, each)] for name, each in catalog.counts().items()]
    if catalog.folds is not None:
        heading[1:3] = ["in folds"]
        found = catalog.counts().items()
        counts = [[_shown(name), str(n + m), str(test)] for name, (n, m, test) in found]
    rows = counts
    if len(rows) > _FIRST + _LAST + 1:
        left = [f"... {len(rows) - _FIRST - _LAST} more", *[""] * (len(heading) - 1)]
        rows = [*rows[:_FIRST], left, *rows[-_LAST:]]
    rows = [heading, *rows]
    widths = [max(len(row[k]) for row in rows) for k in range(len(heading))]
    return [
        f"{_INDENT}{row[0]:<{widths[0]}}  "
        + "  ".join(f"{number:>{width}}" for number, width in zip(row[1:], widths[1:], strict=True))
        for row in rows
    ]


def images_text(catalog: "Catalog") -> str:
    """Return how many images are for what: `30 train, 10 validation, 20 test`."""
    n_train, n_val, n_test = map(len, (catalog.train, catalog.val, catalog.test))
    if catalog.folds is None:
        return f"{n_train} train, {n_val} validation, {n_test} test"
    sizes = catalog.fold_sizes()
    return f"{n_train + n_val} in {len(sizes)} folds of {min(sizes)} to {max(sizes)}, {n_test} test"


def several_labels_lines(catalog: "Catalog") -> list[str]:
    """Return a line on how many labels images have; none where each has one."""
    if not catalog.multi_label:
        return []
    numbers = [len(ref.classes) for ref in (*catalog.train, *catalog.val, *catalog.test)]
    mean, without = sum(numbers) / len(numbers), numbers.count(0)
    return [
        f"labels    {mean:.1f} an image in the mean, {max(numbers)} at most; {without} of "
        f"{len(numbers)} images have none"
    ]


def passed_lines(passed: "Sequence[PassedOver]") -> list[str]:
    """Return a line for each kind of files that were passed over."""
    return [f"{_INDENT}passed over: {line}" for line in _passed(passed)]


def look_lines(
    sides: tuple[int, int, int], channels: "Mapping[str, Channels]", network: "InputStatistics"
) -> list[str]:
    """Return a line on the sizes of the images, and a table of their channels."""
    least, median, most = sides
    rows = [(split, each.mean, each.std) for split, each in channels.items()]
    n_images = " and ".join(f"{each.n_images} {split}" for split, each in channels.items())
    return [
        f"sizes     shorter side {least} to {most} pixels, median {median}",
        f"channels  red, green, blue: mean and spread, 0 to 1, of {n_images} images",
        *(
            f"{_INDENT}{name:<7}  {_three(mean)}   {_three(std)}"
            for name, mean, std in [*rows, ("network", network.mean, network.std)]
        ),
    ]


def _three(values: "Sequence[float]") -> str:
    return " ".join(f"{value:.3f}" for value in values)


def left_out_lines(left_out: "Sequence[tuple[str, Unread]]") -> list[str]:
    """Return a line for the images that cannot be read, and one for each of the first."""
    if not left_out:
        return []
    number = "1 image" if len(left_out) == 1 else f"{len(left_out)} images"
    shown = [on_one_line(f"{name} ({image.reason})") for name, image in left_out[:_UNREAD]]
    more = [f"and {len(left_out) - _UNREAD} more"] if len(left_out) > _UNREAD else []
    lines = [f"left out: {number} that cannot be read (data.max_bad_fraction)", *shown, *more]
    return [_INDENT + line for line in lines]


def _passed(passed: "Sequence[PassedOver]") -> Iterator[str]:
    for each in passed:
        names = on_one_line(", ".join(each.names[:_NAMES]))
        names += ", ..." if len(each.names) > _NAMES else ""
        advice = f"; {each.kind.advice}" if each.kind.advice else ""
        yield f"{each.text} ({names}){advice}"


def _shown(name: str) -> str:
    odd = name != name.strip() or not name.isprintable()
    name = repr(name) if odd else name
    return name if len(name) <= _WIDEST else f"{name[: _WIDEST - 3]}..."
