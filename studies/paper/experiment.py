"""What a study of the paper is: an experiment on a data set."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import prod

RUNS = 4  # of a table's setting; figures show one run (3.3)

Knobs = Mapping[str, float]
Grid = Mapping[str, tuple[float, ...]]

PLAIN: Knobs = {
    "reinit_layers": 1,
    "high_lr": 0.01,
    "low_lr_ratio": 1.0,
    "low_layers": 0,
    "alpha": 0.0,
    "beta": 0.0001,
    "l2sp_layers": 0,
}
COUNTS = {"reinit_layers", "low_layers", "l2sp_layers"}


@dataclass(frozen=True)
class Experiment:
    """A study of one figure, or of one setting of a table.

    Attributes:
        name: of the file, without the data set.
        title: what it reproduces, for the head of the file.
        paper: what the paper found, with its place.
        ours: choices where the paper is silent, a line each.
        knobs: that differ from `PLAIN`.
        grid: values of the knobs that are searched.
        measures: whether this is Table 1.
    """

    name: str
    title: str
    paper: str
    ours: tuple[str, ...] = ()
    knobs: Knobs = field(default_factory=dict)
    grid: Grid = field(default_factory=dict)
    measures: bool = False

    @property
    def trials(self) -> int:
        """The plain default is queued first; where the grid is one point, it is that point."""
        return 2 if self.measures else 1 + prod(map(len, self.grid.values())) * bool(self.grid)


@dataclass(frozen=True)
class Target:
    """A data set, and how it is trained on.

    Attributes:
        name: of the data set.
        head: lines for the head of each file.
        folder: of its files, below this one.
        prefix: of the studies' names.
        tables: `[data]`, `[backbone]` and `[recipe]` as TOML.
        checkpoints: `[checkpoints]` as TOML.
        body_layers: of the network.
        seconds: of a trial by `tlsearch plan`, and where that was measured; None = not measured.
    """

    name: str
    head: tuple[str, ...]
    folder: str
    prefix: str
    tables: str
    checkpoints: str
    body_layers: int
    seconds: tuple[float, str] | None = None
