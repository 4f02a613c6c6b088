"""What was found on one target, as the claims ask for it; None where it was not run to its end."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from bench.accuracy.comparison import Correct, correctness
from bench.accuracy.run import Line

from .results import of_experiment
from .units import runs

Trial = Mapping[str, Any]


@dataclass(frozen=True)
class Setting:
    """A setting of a table, over its runs.

    Attributes:
        experiment: its name.
        params: the seven hyperparameters.
        val: accuracies on validation by run, fractions.
        correct: bool (n_runs, n_test).
    """

    experiment: str
    params: Mapping[str, float]
    val: tuple[float, ...]
    correct: Correct

    @property
    def test(self) -> list[float]:
        """Test accuracies by run, fractions."""
        return [float(each) for each in self.correct.mean(axis=1)]

    def __str__(self) -> str:
        spread = f" +- {100 * statistics.stdev(self.test):.1f}" if len(self.test) > 1 else ""
        return f"{100 * statistics.fmean(self.test):.1f}{spread}"


@dataclass(frozen=True)
class Found:
    """The results of one target.

    Attributes:
        target: its name.
        lines: of its file; the first describes the images.
    """

    target: str
    lines: Sequence[Line]

    @property
    def measures(self) -> Mapping[str, Any] | None:
        """The measures of Table 1."""
        found = of_experiment(self.lines, "table1")
        return found[0]["measures"] if found else None

    @property
    def n_val(self) -> int:
        """Validation images."""
        return int(self.lines[0]["n_val"])

    @property
    def n_test(self) -> int:
        """Test images."""
        return len(self.lines[0]["labels"])

    def figure(self, experiment: str) -> list[Trial] | None:
        """Return the trials of a figure that were trained to their end, on the grid."""
        found = of_experiment(self.lines, experiment)
        if not found:
            return None
        return [each for each in found[0]["trials"] if each["state"] == "complete"]

    def setting(self, experiment: str) -> Setting | None:
        """Return a table's setting, where all of its runs are there and tested."""
        found = of_experiment(self.lines, experiment)
        if len(found) < len(runs(experiment)):
            return None
        trials = [each["trials"][0] for each in found]
        if any(trial["val_accuracy"] is None for trial in trials):
            return None
        labels = self.lines[0]["labels"]
        correct = np.stack([correctness(each["predictions"], labels) for each in found])
        val = tuple(float(trial["val_accuracy"]) for trial in trials)
        return Setting(experiment, trials[0]["params"], val, correct)

    def ensemble(self, experiment: str) -> Correct | None:
        """Return bool (1, n_test): whether the mean of a setting's runs is right."""
        for line in self.lines[1:]:
            if (line.get("experiment"), line.get("run")) == (experiment, "ensemble"):
                return correctness(line["predictions"], self.lines[0]["labels"])[None]
        return None

    def settings(self) -> list[Setting]:
        """Return every setting of a table that is there."""
        names = dict.fromkeys(str(line["experiment"]) for line in self.lines[1:])
        tables = [name for name in names if name.startswith("table") and name != "table1"]
        return [found for name in tables if (found := self.setting(name)) is not None]
