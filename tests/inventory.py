"""Compare the tests of two versions: which moved, which have another name, which are gone.

    git worktree add /tmp/old 9e800cf
    (cd /tmp/old && python -m pytest --collect-only -q -o addopts= | grep :: > /tmp/before.txt)
    python -m pytest --collect-only -q -o addopts= | grep :: > /tmp/after.txt
    python -m tests.inventory /tmp/before.txt /tmp/after.txt

Prints one line a test that is not where it was: functions, with the number of their cases. Tests
whose names are other ones are in renamed.txt.
"""

import sys
from collections import Counter
from difflib import SequenceMatcher
from pathlib import Path

RENAMED = Path(__file__).with_name("renamed.txt")


def main(before: str, after: str) -> None:
    old, new = cases(Path(before)), cases(Path(after))
    print(f"{sum(old.values())} cases of {len(old)} tests before, ", end="")
    print(f"{sum(new.values())} of {len(new)} now\n")
    for title, lines in compare(old, new).items():
        print(f"## {title}: {len(lines)}\n")
        print("\n".join(lines) + "\n" * (1 + bool(lines)), end="")


def cases(path: Path) -> Counter[str]:
    """How many cases each test function has, by its id without parameters."""
    return Counter(line.split("[", 1)[0].strip() for line in path.read_text().splitlines())


def compare(old: Counter[str], new: Counter[str]) -> dict[str, list[str]]:
    """Lines about the tests that are not as they were."""
    free = set(new) - set(old)
    found: dict[str, list[str]] = {"moved": [], "other cases": [], "not found": []}
    for test in sorted(old):
        place = test if test in new else place_of(test, free)
        if place is None:
            found["not found"].append(f"{test} ({old[test]})")
            continue
        free.discard(place)
        if place != test:
            found["moved"].append(f"{test} -> {place}")
        if new[place] != old[test]:
            found["other cases"].append(f"{place}: {old[test]} -> {new[place]}")
    return found


def renamed() -> dict[str, str]:
    """The new name of each function that got one."""
    lines = RENAMED.read_text().splitlines()
    return dict(line.split() for line in lines if line and line[0] != "#")


def place_of(test: str, free: set[str]) -> str | None:
    """Where a test that has left is now: one of its name, rather of its class and file's name."""
    name = renamed().get(name_of(test), name_of(test))
    inside = [*test.split("::")[1:-1], name]
    file = file_of(test)

    def likeness(place: str) -> tuple[bool, float, str]:
        same_file = SequenceMatcher(None, file, file_of(place)).ratio()
        return place.split("::")[1:] == inside, same_file, place

    named = [place for place in free if name_of(place) == name]
    return max(named, key=likeness, default=None)


def file_of(test: str) -> str:
    return test.split("::", 1)[0]


def name_of(test: str) -> str:
    """The name of the function alone: files and classes may have other names."""
    return test.rsplit("::", 1)[-1]


if __name__ == "__main__":
    main(*sys.argv[1:])
