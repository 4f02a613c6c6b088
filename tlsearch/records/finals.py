"""What the finalists of a study reach over several seeds."""

from dataclasses import dataclass
from statistics import fmean, stdev
from typing import Literal

from tlsearch.records.html import html_table
from tlsearch.records.hyperparameters import Hyperparameters
from tlsearch.records.objective import ACCURACY, Objective, attr, shown, shown_width

FinalistKind = Literal["candidate", "default", "fixed_features", "mean"]
MEAN = "mean"  # name of the mean of fixed features and the winner


@dataclass(frozen=True, slots=True)
class SeedRun:
    """One training of a finalist.

    Attributes:
        trial: its number in the study `NAME/finalists`.
        seed: of the training.
        val_accuracy: a fraction; None where accuracy is not the objective and it is not known.
        seconds: of training.
        own_score: its score where the objective is another than accuracy.
    """

    trial: int
    seed: int
    val_accuracy: float | None
    seconds: float
    own_score: float | None = None

    @property
    def score(self) -> float:
        """How good it is by the objective: larger is better."""
        found = self.val_accuracy if self.own_score is None else self.own_score
        assert found is not None, "a run has a score"
        return found


@dataclass(frozen=True, slots=True)
class Finalist:
    """A configuration that is trained over several seeds.

    Attributes:
        name: `trial 7` (of the search), `default`, `fixed features` or `mean`.
        kind: a candidate of the search, one of the two baselines, or the geometric mean of the
            probabilities of fixed features and the winner, which takes no training.
        params: the seven hyperparameters; None for fixed features, which train none.
        from_trial: number of the trial of the search; None where the search has none.
        planned: runs that are planned.
        runs: those that are complete, by seed. Fixed features do not depend on a seed: one run.
        failed: runs that failed.
    """

    name: str
    kind: FinalistKind
    params: Hyperparameters | None
    from_trial: int | None
    planned: int
    runs: tuple[SeedRun, ...] = ()
    failed: int = 0

    @property
    def mean(self) -> float | None:
        """Mean score of the complete runs, of accuracy a fraction; None before one is."""
        return fmean(run.score for run in self.runs) if self.runs else None

    @property
    def mean_accuracy(self) -> float | None:
        """Mean top-1 of the complete runs, a fraction; None where that of one is not known."""
        known = [run.val_accuracy for run in self.runs if run.val_accuracy is not None]
        return fmean(known) if known and len(known) == len(self.runs) else None

    @property
    def sd(self) -> float | None:
        """Standard deviation of the runs; None below two."""
        return stdev(run.score for run in self.runs) if len(self.runs) > 1 else None


@dataclass(frozen=True, slots=True)
class Comparison:
    """The winner beside a baseline, paired.

    Attributes:
        baseline: the baseline's name.
        gain: mean difference of scores, of accuracies a fraction.
        low, high: 95 % interval of the gain.
        p_value: two-sided.
        n_seeds: runs of each.
        is_clear: whether the winner is ahead by more than chance explains, at 5 %.
    """

    baseline: str
    gain: float
    low: float
    high: float
    p_value: float
    n_seeds: int
    is_clear: bool


@dataclass(frozen=True, slots=True)
class Finals:
    """The finalists of a study, and which of them to use.

    Attributes:
        study: the name of the search.
        finalists: candidates first, the best mean first, then the baselines; last the mean of
            fixed features and the winner, once all is complete.
        complete: whether every planned run ended.
        winner: name of the candidate with the best mean; None before a run of one is complete.
        comparisons: of the winner with each baseline; empty until `complete`.
        recommended: name of the finalist to use: the mean of fixed features and the winner where it
            clearly beats fixed features and is not behind the best by a standard error; else the
            winner where it clearly beats the baselines, else the cheapest that it does not beat;
            None until `complete`.
        why: the same in a sentence, for people.
        objective: what the scores are.
    """

    study: str
    finalists: tuple[Finalist, ...]
    complete: bool
    winner: str | None = None
    comparisons: tuple[Comparison, ...] = ()
    recommended: str | None = None
    why: str | None = None
    objective: Objective = ACCURACY

    def finalist(self, name: str) -> Finalist:
        """Return the finalist of this name.

        Raises:
            KeyError: there is none.
        """
        for each in self.finalists:
            if each.name == name:
                return each
        raise KeyError(name)

    def _repr_html_(self) -> str:
        """Return the finalists as a table for notebooks."""
        rows = [("finalist", "runs", attr(self.objective), "sd")]
        rows += [
            (each.name, f"{len(each.runs)} of {each.planned}", *self._cells(each))
            for each in self.finalists
        ]
        recommended = f"recommended: {self.recommended}; {self.why}" if self.recommended else ""
        return html_table(rows, f"{self.study}: finalists. {recommended}".strip())

    def _cells(self, each: Finalist) -> tuple[str, str]:
        sd = "-" if each.sd is None else shown_width(self.objective, each.sd)
        return shown(self.objective, each.mean), sd
