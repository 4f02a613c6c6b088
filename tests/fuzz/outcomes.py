"""What becomes of odd inputs: counted, so that a table can say it."""

import os
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from tests.fuzz.images import OddImage, odd_image
from tlsearch.cli.data_table import class_lines, passed_lines
from tlsearch.data import Catalog, load_catalog, load_training_data, read_once
from tlsearch.data.decode import look_at, open_rgb
from tlsearch.data.reading import read_all
from tlsearch.data.references import ImageRef
from tlsearch.errors import TlsearchError
from tlsearch.spec import DataSpec

HANG_SECONDS = 20.0


@dataclass
class Outcomes:
    """What became of inputs of one kind.

    Attributes:
        counts: how many were read, were refused in one sentence, and what must not happen:
            tracebacks, hangs, files lost, wrong pixels.
        worst: what went wrong, for people.
        longest: seconds that one of them took.
    """

    counts: Counter[str] = field(default_factory=Counter)
    worst: list[str] = field(default_factory=list)
    longest: float = 0.0

    def note(self, what: str, run: Callable[[], str]) -> None:
        """Run one input; `run` returns a word for what became of it."""
        begun = time.monotonic()
        try:
            word = run()
        except Exception as error:
            word = "tracebacks"
            what = f"{what}: {type(error).__name__}: {error}"
        seconds = time.monotonic() - begun
        self.longest = max(self.longest, seconds)
        if seconds > HANG_SECONDS:
            word = "hangs"
        self.counts[word] += 1
        if word not in ("read", "refused"):
            self.worst.append(f"{word}: {what}")

    def faults(self) -> int:
        """Return how many were neither read nor refused in a sentence."""
        return sum(n for word, n in self.counts.items() if word not in ("read", "refused"))


def of_image(odd: OddImage, folder: Path) -> str:
    """Read one odd image: it comes out as RGB, or there is one line with its place and a reason."""
    path = folder / f"odd.{odd.ending}"
    path.write_bytes(odd.content)
    ref = ImageRef("odd", 0, path)
    looks, problems = read_all([ref], look_at)
    if problems:
        problem = problems[0].text
        short = problem.startswith(f"{path} (") and "\n" not in problem and len(problem) < 600
        if odd.pixels is not None:
            return "lost"
        return "refused" if short else "tracebacks"
    image = open_rgb(ref)
    if image.mode != "RGB" or (image.height, image.width) != (looks[0].height, looks[0].width):
        return "wrong pixels"
    if odd.pixels is not None and not np.array_equal(np.asarray(image), odd.pixels):
        return "wrong pixels"
    return "read"


def of_tree(root: Path, links: bool) -> str:
    """Read a tree: every file is an image of a class or counted as passed over, or one sentence."""
    spec = DataSpec(path=str(root))
    try:
        catalog = load_catalog(spec)
    except TlsearchError as error:
        return "refused" if "\n" not in str(error) else "tracebacks"
    lines = [*class_lines(catalog), *passed_lines(catalog.passed)]
    if any("\n" in line for line in lines):
        return "tracebacks"
    return "read" if _all_counted(catalog, root, links) else "lost"


def write_set(folder: Path, seed: int, n: int, only_readable: bool) -> int:
    """Write `n` odd images into two classes; returns how many of them cannot be read."""
    n_written = n_broken = 0
    for each in map(odd_image, range(seed * 100_000, (seed + 1) * 100_000)):
        place = folder / ("ab"[n_written % 2]) / f"{n_written:03}.{each.ending}"
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(each.content)
        broken = bool(read_all([ImageRef("x", 0, place)], look_at)[1])
        if broken and only_readable:
            place.unlink()
            continue
        n_written += 1
        n_broken += broken
        if n_written == n:
            break
    return n_broken


def of_set(root: Path, n: int, n_broken: int) -> str:
    """Read a folder as `check` and a worker do: all images come in, or all broken ones are told."""
    spec = DataSpec(path=str(root), val_fraction=0.3)
    catalog = load_catalog(spec)
    try:
        looks = read_once(catalog, 16, 1.0)
    except TlsearchError as error:
        said = str(error)
        number = "1 image" if n_broken == 1 else f"{n_broken} images"
        if "\n" in said:
            return "tracebacks"
        return "refused" if said.startswith(f"{number} cannot be read: ") else "lost"
    data = load_training_data(catalog, 16, 1.0)
    counted = len(looks) + sum(each.n_files for each in catalog.passed)
    same = len(data.train) == len(catalog.train) and len(data.val) == len(catalog.val)
    return "read" if counted == n and same and n_broken == 0 else "lost"


def _all_counted(catalog: Catalog, root: Path, links: bool) -> bool:
    refs = [*catalog.train, *catalog.val, *catalog.test]
    if len({ref.name for ref in refs}) < len(refs):
        return False
    passed = sum(each.n_files for each in catalog.passed)
    there = sum(len(files) for _, _, files in os.walk(root))
    if not links:
        return len(refs) + passed == there
    return len(refs) + passed >= there
