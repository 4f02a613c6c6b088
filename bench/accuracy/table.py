"""Shows the results as Markdown, or writes them into README.md.

python -m bench.accuracy.table [--results FOLDER] [--trials 16] [--epochs 10] [--write]
"""

import argparse
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .answers import Settings
from .arm_search import as_the_quickstart_was
from .comparison import Correct, Difference, correctness, difference
from .places import RESULTS
from .run import Line, lines
from .targets import TARGETS
from .unit import ARMS

README = Path(__file__).with_name("README.md")
BEGIN, END = "<!-- results: written by table.py -->", "<!-- end of results -->"
OURS, FLOOR = "tlsearch", "probe"
LABELS = {
    "probe": "probe: fixed features",
    "default": "plain default",
    "timm_adamw": "timm: AdamW, layer decay",
    "fastai": "fastai",
    "tlsearch_0_1": "tlsearch 0.1",
    "tlsearch": "**tlsearch: recommended**",
    "tlsearch/fixed_features": "its fixed features",
    "tlsearch/best_trial": "its best trial",
    "tlsearch/mean": "mean of the two",
}


@dataclass(frozen=True)
class Arm:
    """The results of an arm on a set of images.

    Attributes:
        correct: bool (n_seeds, n_images).
        val: accuracy on validation by seed, fractions.
        seconds: by seed; empty for a further answer of another arm.
        cpu_seconds: the same way.
    """

    correct: Correct
    val: tuple[float, ...]
    seconds: tuple[float, ...] = ()
    cpu_seconds: tuple[float, ...] = ()

    @property
    def by_seed(self) -> list[float]:
        """Test accuracies, per cent."""
        return [float(100 * each) for each in self.correct.mean(axis=1)]


def main() -> None:
    """Read results and print or write them."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--trials", type=int, default=Settings.trials)
    parser.add_argument("--epochs", type=int, default=Settings.epochs)
    parser.add_argument("--write", action="store_true")
    given = parser.parse_args()
    settings = Settings(trials=given.trials, epochs=given.epochs)
    found = {name: lines(given.results, name) for name in TARGETS}
    text = markdown({name: each for name, each in found.items() if len(each) > 1}, settings)
    if given.write:
        README.write_text(placed(README.read_text(), text))
    else:
        print(text)


def placed(document: str, text: str) -> str:
    """Return a document with a text between its marks.

    Raises:
        ValueError: it has no such marks.
    """
    before, begin, rest = document.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise ValueError(f"the document has no {BEGIN} ... {END}")
    return f"{before}{BEGIN}\n\n{text}\n\n{END}{after}"


def markdown(results: Mapping[str, Sequence[Line]], settings: Settings) -> str:
    """Return a section for each set of images."""
    if not results:
        return "There are no results yet."
    return "\n\n".join(_section(name, found, settings) for name, found in results.items())


def arms_of(found: Sequence[Line], settings: Settings) -> dict[str, Arm]:
    """Return the arms of a set, with further answers of an arm as `ARM/ANSWER`."""
    labels, rows = found[0]["labels"], found[1:]
    arms: dict[str, Arm] = {}
    for name in ARMS:
        of_arm = sorted(_of_arm(rows, name, settings), key=lambda line: int(line["seed"]))
        if not of_arm:
            continue
        arms[name] = Arm(
            np.stack([correctness(line["predictions"], labels) for line in of_arm]),
            tuple(line["val"] for line in of_arm),
            tuple(line["seconds"] for line in of_arm),
            tuple(line["cpu_seconds"] for line in of_arm),
        )
        for other in of_arm[0].get("others", {}):
            answers = [line["others"][other] for line in of_arm if other in line["others"]]
            arms[f"{name}/{other}"] = Arm(
                np.stack([correctness(each["predictions"], labels) for each in answers]),
                tuple(each["val"] for each in answers),
            )
    return arms


def _of_arm(rows: Iterable[Line], name: str, settings: Settings) -> list[Line]:
    searches = name.startswith(OURS)
    return [
        line
        for line in rows
        if line["arm"] == name
        and line["epochs"] == settings.epochs
        and (line["trials"] == settings.trials or not searches)
    ]


def _section(target: str, found: Sequence[Line], settings: Settings) -> str:
    head, arms = found[0], arms_of(found, settings)
    title = f"### {target}: {head['n_train']} train, {head['n_val']} validation, "
    title += f"{len(head['labels'])} test images"
    columns = ["arm", "seeds", "validation", "test", "minus the probe", "tlsearch minus it"]
    columns += ["seconds", "of CPU"]
    rows = [_row(name, arms) for name in arms]
    machines = {line["machine"] for line in found[1:]}
    commits = {line["commit"][:12] for line in found[1:] if line["arm"] == OURS}
    earlier = as_the_quickstart_was(settings)
    foot = f"{settings.trials} trials a search, {settings.epochs} epochs a training "
    foot += f"(tlsearch 0.1: {earlier.trials} and {earlier.epochs}); "
    foot += f"{', '.join(sorted(machines))}; tlsearch at {', '.join(sorted(commits)) or 'none'}."
    lines_ = [title, "", _table_row(columns), _table_row(["---"] * len(columns))]
    return "\n".join([*lines_, *map(_table_row, rows), "", foot])


def _row(name: str, arms: Mapping[str, Arm]) -> list[str]:
    arm = arms[name]
    return [
        LABELS.get(name, name),
        str(len(arm.correct)),
        _spread([100 * each for each in arm.val]),
        _spread(arm.by_seed),
        _compared(arm, arms.get(FLOOR) if name != FLOOR else None),
        _compared(arms[OURS], arm) if OURS in arms and name != OURS else "",
        f"{statistics.median(arm.seconds):.0f}" if arm.seconds else "",
        f"{statistics.median(arm.cpu_seconds):.0f}" if arm.cpu_seconds else "",
    ]


def _compared(first: Arm, second: Arm | None) -> str:
    return "" if second is None else shown(difference(first.correct, second.correct))


def shown(found: Difference) -> str:
    """Show a difference in points; bold where the interval is clear of zero."""
    text = f"{100 * found.mean:+.1f} [{100 * found.low:+.1f}, {100 * found.high:+.1f}]"
    return f"**{text}**" if found.clear else text


def _spread(values: Sequence[float]) -> str:
    mean = f"{statistics.mean(values):.1f}"
    return f"{mean} +- {statistics.stdev(values):.1f}" if len(values) > 1 else mean


def _table_row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    main()
