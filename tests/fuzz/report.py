"""Runs the long fuzz of images and trees, and prints its table.

python -m tests.fuzz.report
"""

import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path

from tests.fuzz.images import odd_image
from tests.fuzz.outcomes import Outcomes, of_image, of_set, of_tree, write_set
from tests.fuzz.trees import odd_tree

N_IMAGES, N_SETS, N_TREES = 1000, 30, 500


def main() -> None:
    """Print a row for each kind of input, and what went wrong."""
    warnings.filterwarnings("ignore", module=r"PIL\.")
    names = ["input", "n", "read", "refused in a sentence", "tracebacks", "hangs over 20 s", "lost"]
    print(f"| {' | '.join([*names, 'longest'])} |")
    print("|---|---:|---:|---:|---:|---:|---:|---:|")
    worst = []
    with tempfile.TemporaryDirectory() as folder:
        for name, outcomes in _all(Path(folder)):
            counts = outcomes.counts
            numbers = [counts[word] for word in ("read", "refused", "tracebacks", "hangs")]
            lost = counts["lost"] + counts["wrong pixels"]
            cells = [name, sum(counts.values()), *numbers, lost, f"{outcomes.longest:.1f} s"]
            print(f"| {' | '.join(map(str, cells))} |", flush=True)
            worst += outcomes.worst
    print("\n".join(worst))


def _all(folder: Path) -> Iterator[tuple[str, Outcomes]]:
    yield "images", images(folder)
    yield "folders of 20 such images", sets(folder)
    yield "trees of folders", trees(folder)


def images(folder: Path, n: int = N_IMAGES) -> Outcomes:
    """Read so many odd images, one by one."""
    found = Outcomes()
    for seed in range(n):
        odd = odd_image(seed)
        found.note(f"seed {seed}, {odd.what}", lambda odd=odd: of_image(odd, folder))  # type: ignore[misc]
    return found


def sets(folder: Path, n: int = N_SETS) -> Outcomes:
    """Read so many folders of odd images, as `tlsearch check` and a worker do."""
    found = Outcomes()
    for seed in range(n):
        place = folder / f"set{seed}"
        broken = write_set(place, seed, 20, only_readable=seed % 2 == 0)
        found.note(f"set {seed}", lambda place=place, n=broken: of_set(place, 20, n))  # type: ignore[misc]
    return found


def trees(folder: Path, n: int = N_TREES) -> Outcomes:
    """Read so many odd trees; every second one has linked folders."""
    found = Outcomes()
    for seed in range(n):
        place, links = folder / f"tree{seed}" / "root", seed % 2 == 1
        odd_tree(place, seed, links)
        found.note(f"tree {seed}", lambda place=place, links=links: of_tree(place, links))  # type: ignore[misc]
    return found


if __name__ == "__main__":
    main()
