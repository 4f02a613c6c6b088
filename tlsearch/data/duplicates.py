"""Finds images that are there twice, or nearly so, within and across splits."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from tlsearch.data.colours import Look
from tlsearch.data.likeness import MOST_BITS, MOST_COLOUR, colours_of, hash_signs
from tlsearch.data.reading import read_all, unreadable
from tlsearch.data.references import TEST, TRAIN, VAL, Catalog, ImageRef

_ORDER = (TEST, VAL, TRAIN)  # a copy is the image that comes later here
_ROWS = 256  # that are compared with all others at once


@dataclass(frozen=True, slots=True)
class Copy:
    """An image that is there already, or looks like one that is.

    Attributes:
        image, split: the image, and its split or its fold.
        first, first_split: the one that it is like; of test before val before train.
        same: whether the content is the same.
        same_class: whether their labels are.
    """

    image: ImageRef
    split: str
    first: ImageRef
    first_split: str
    same: bool
    same_class: bool

    @property
    def leaks(self) -> bool:
        """Whether the two are in different splits."""
        return self.split != self.first_split

    def as_dict(self) -> dict[str, object]:
        """Return it for JSON."""
        return {
            "image": self.image.name,
            "split": self.split,
            "first": self.first.name,
            "first_split": self.first_split,
            "same_content": self.same,
            "same_class": self.same_class,
        }

    @property
    def text(self) -> str:
        """Return `train: cat/1.png = test: cat/9.png`, with ~ for those that only look alike."""
        sign = "=" if self.same else "~"
        return f"{self.split}: {self.image.name} {sign} {self.first_split}: {self.first.name}"


def find_copies(catalog: Catalog, looks: Sequence[Look]) -> tuple[Copy, ...]:
    """Compare each image with all others, by content and by likeness.

    An image is a copy at most twice: of the first like it in its own class, and of the first in
    another class.

    Args:
        catalog: the images.
        looks: of the images for training, validation and testing, in this order.

    Raises:
        DataError: an image cannot be read.
    """
    by_split = {TRAIN: catalog.train, VAL: catalog.val, TEST: catalog.test}
    ranks = [_ORDER.index(split) for split in (TRAIN, VAL, TEST) for _ in by_split[split]]
    placed = [*catalog.placed(), *((TEST, ref) for ref in catalog.test)]
    splits, refs = [split for split, _ in placed], [ref for _, ref in placed]
    order = sorted(range(len(refs)), key=lambda k: (ranks[k], k))
    contents, problems = read_all(refs, ImageRef.digest)
    if problems:
        raise unreadable(problems)
    found: list[Copy] = []
    for copy, firsts in _alike([looks[k] for k in order]):
        k = order[copy]
        of_class: dict[bool, Copy] = {}
        for at in sorted(firsts, key=lambda at: (contents[order[at]] != contents[k], at)):
            j = order[at]
            same_class = refs[j].label == refs[k].label
            made = Copy(
                refs[k], splits[k], refs[j], splits[j], contents[j] == contents[k], same_class
            )
            of_class.setdefault(same_class, made)
        found += of_class.values()
    return tuple(found)


def _alike(looks: Sequence[Look]) -> Iterator[tuple[int, list[int]]]:
    """Yield each image that looks like earlier ones, with those."""
    likenesses = [look.likeness for look in looks]
    signs, colours = hash_signs(likenesses), colours_of(likenesses)
    for start in range(0, len(looks), _ROWS):
        block = signs[start : start + _ROWS] @ signs[: start + _ROWS].T
        for row, near in enumerate(block >= 64 - 2 * MOST_BITS):
            index = start + row
            earlier = np.flatnonzero(near[:index])
            if len(earlier) == 0:
                continue
            apart = np.abs(colours[earlier] - colours[index]).mean(axis=1)
            firsts = earlier[apart <= MOST_COLOUR].tolist()
            if firsts:
                yield index, firsts
