"""The studies to run: each file of studies/paper/quickstart, a table's file once for each seed."""

import importlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from bench.accuracy.places import ROOT
from tlsearch.spec import StudySpec, load_spec, spec_hash

PAPER = ROOT / "studies" / "paper"
IMAGES: Mapping[str, str] = {  # the name in bench/accuracy/targets.py of each target's images
    "fashion-30": "fashion-30",
    "emoji": "emoji",
    "digits": "digits",
    "fashion-30-long": "fashion-30",
}
TARGETS = tuple(IMAGES)
_STAND_IN = re.compile(r"stand-in: (\w+) has not been run")


@dataclass(frozen=True)
class Unit:
    """A study to run.

    Attributes:
        target: the data set.
        experiment: the file's name without the data set.
        run: 1 to 4 of a table's setting; 0 of a figure, and of Table 1.
        path: the spec.
    """

    target: str
    experiment: str
    run: int
    path: Path

    @property
    def waits_for(self) -> str | None:
        """The figure whose result the spec needs and does not have yet; None where it has all."""
        found = _STAND_IN.search(self.path.read_text(encoding="utf-8"))
        return found[1] if found else None

    def spec(self) -> StudySpec:
        """Return the spec; its name says its content, so another content is another study."""
        spec = load_spec(self.path)
        recipe = spec.recipe.model_copy(update={"seed": self.run or spec.recipe.seed})
        spec = spec.model_copy(update={"recipe": recipe})
        run = f"-run{self.run}" if self.run else ""
        return spec.model_copy(update={"name": f"{spec.name}{run}-{spec_hash(spec)[:8]}"})

    def __str__(self) -> str:
        return f"{self.target} {self.experiment}" + (f" run {self.run}" if self.run else "")


def maker() -> ModuleType:
    """Return studies/paper/make.py, which writes the files."""
    return importlib.import_module("studies.paper.make")


def experiments(target: str) -> list[str]:
    """Return the names of a target's experiments, in the order in which they need each other."""
    return [each.name for each in maker().quick_experiments(target)]


def runs(experiment: str) -> Sequence[int]:
    """Return the runs: figures show one, tables four (3.3 of the paper); Table 1 measures."""
    repeated = experiment.startswith("table") and experiment != "table1"
    return range(1, maker().RUNS + 1) if repeated else (0,)


def units(target: str, only: Sequence[str] = ()) -> Iterator[Unit]:
    """Yield the units of a target.

    Args:
        target: the data set.
        only: beginnings of experiments' names; none = all.
    """
    for experiment in experiments(target):
        if only and not experiment.startswith(tuple(only)):
            continue
        for run in runs(experiment):
            yield Unit(
                target, experiment, run, PAPER / "quickstart" / f"{experiment}-{target}.toml"
            )
