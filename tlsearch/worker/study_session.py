"""A worker's work on one study: which trial comes next, and measuring before that."""

from contextlib import suppress
from dataclasses import replace
from functools import cached_property

from tlsearch.errors import StudyError
from tlsearch.prior import most_starting_trials
from tlsearch.records import FIXED_FEATURES, reason_line
from tlsearch.records.names import FINALISTS_SUFFIX
from tlsearch.sampler import GRID, GridState
from tlsearch.store.claims import Claim, Refusal
from tlsearch.store.controls import read_controls
from tlsearch.store.measures import read_measures, read_prior
from tlsearch.store.outages import DATABASE_ERRORS
from tlsearch.store.stored_study import StoredStudy
from tlsearch.store.trials import trial_counts, trial_records
from tlsearch.worker.checkpoints import remove_unneeded_files
from tlsearch.worker.context import WorkerContext
from tlsearch.worker.expected_time import expected_time
from tlsearch.worker.expecting import Expecting
from tlsearch.worker.materials import TrainingMaterials, load_materials
from tlsearch.worker.measuring import Measuring
from tlsearch.worker.optuna_trials import OptunaTrials
from tlsearch.worker.settling import WAITING, Settling
from tlsearch.worker.trial_runner import TrialRunner

ALL = 2**31 - 1 - 10**6  # of the budget, and a million trials may begin beside it


class StudySession:
    """A worker's work on one study.

    Images and network are loaded when the first trial is to be claimed.
    """

    def __init__(self, context: WorkerContext) -> None:
        self._context = context

    @property
    def study(self) -> StoredStudy:
        """The study, as it was when the worker started."""
        return self._context.study

    @cached_property
    def runner(self) -> TrialRunner:
        """What claims and runs its trials."""
        return TrialRunner(
            self._context, self._materials, self._trials, self.expecting.trial_completed
        )

    @cached_property
    def expecting(self) -> Expecting:
        """What keeps the expected scores of its trials up to date."""
        return Expecting(self._context)

    @cached_property
    def measuring(self) -> Measuring | None:
        """What measures the study; None where its spec has measures off."""
        if self.study.spec.measures.when == "off":
            return None
        return Measuring(self._context, self._materials)

    @cached_property
    def settling(self) -> Settling | None:
        """What settles the plain default's rate; None where the study is none of finalists."""
        return Settling(self._context) if self.study.name.endswith(FINALISTS_SUFFIX) else None

    def next(self) -> Claim | Refusal | None:
        """Do what comes next.

        Returns:
            A trial to run, why there is none, or None where a step of measuring was done instead.

        Raises:
            StudyError: the study was deleted.
            DatabaseAway: the database stayed away.
        """
        context = self._context
        context.retry.call(context.registration.heartbeat)
        if self.settling is not None and context.retry.call(self.settling.step):
            return None
        refusal = context.retry.call(context.claims.refusal)
        if refusal is not None and refusal.verdict != "wait":
            return refusal
        if self.measuring is not None and context.retry.call(self.measuring.step_or_give_up):
            return None
        self._follow_prior()
        keep = context.retry.call(self._trials_of_prior)
        grid = self._grid()
        if grid is not None:
            if (refusal := _refusal_of(grid)) is not None:
                return refusal
            keep = max(keep, context.retry.call(lambda: self._beyond(grid)))
        try:
            return self._of_family(self.runner.claim(keep))
        except StudyError:
            self.clean_up()
            raise

    def _of_family(self, outcome: Claim | Refusal) -> Claim | Refusal:
        """Return an outcome that says what a study without a search waits for, or that it ended."""
        if self.study.family_of is None or isinstance(outcome, Claim):
            return outcome
        if outcome.over or "measures" not in outcome.why:
            return outcome
        context = self._context
        counts = context.retry.call(lambda: trial_counts(context.database, self.study.study_id))
        if counts["running"] or (self.settling is not None and not self.settling.over):
            return replace(outcome, why=WAITING)
        return Refusal("done", "all of its runs ended")

    def leave(self) -> None:
        """See that every complete trial has its expected score, as this worker leaves."""
        self.expecting.catch_up()

    def failure_of_all(self) -> str | None:
        """Return why the last trial failed, if all that were trained did; None if not.

        What no trial trains, the classifier on fixed features, says nothing of the others.
        """
        context = self._context
        records = context.retry.call(lambda: trial_records(context.database, self.study.study_id))
        trained = [each for each in records if each.origin != FIXED_FEATURES]
        ended = [each for each in trained if each.state in ("complete", "pruned", "fail")]
        if not ended or any(each.state != "fail" for each in ended):
            return None
        return reason_line(ended[-1].reason_kind, ended[-1].reason) or "no reason is known"

    def clean_up(self) -> None:
        """Remove files that dead workers left, once the study is over or deleted."""
        context = self._context
        with suppress(*DATABASE_ERRORS):
            keep_best = context.study.spec.checkpoints.keep_best
            remove_unneeded_files(context.artifacts, context.claims, keep_best)

    @cached_property
    def _materials(self) -> TrainingMaterials:
        materials = load_materials(self._context)
        begins = self.study.family_of is None and not self._has_begun()
        if begins and (expected := expected_time(self._context, materials)):
            self._context.progress.note(expected)
            self._context.progress.preparing("the search begins")
        return materials

    def _has_begun(self) -> bool:
        """Whether a trial of the study has begun, or the study was measured."""
        context = self._context
        counts = context.retry.call(lambda: trial_counts(context.database, context.study.study_id))
        if any(n for state, n in counts.items() if state != "waiting"):
            return True
        return context.retry.call(
            lambda: read_measures(context.database, context.study.study_id) is not None
        )

    @cached_property
    def _trials(self) -> OptunaTrials:
        context = self._context
        return context.retry.call(lambda: OptunaTrials(context.database, context.study))

    def _follow_prior(self) -> None:
        """Let the sampler draw from the prior as the database holds it now."""
        context = self._context
        if context.study.spec.sampler.name == "earned_prior":
            study_id = context.study.study_id
            prior = context.retry.call(lambda: read_prior(context.database, study_id))
            self._trials.follow_prior(prior)

    def _grid(self) -> GridState | None:
        """Return how far the study's grid has been gone through; None where it has none."""
        if self.study.spec.sampler.name != GRID:
            return None
        return self._context.retry.call(self._trials.grid)

    def _beyond(self, grid: GridState) -> int:
        """Return how many trials the budget has room for beyond those that the grid needs."""
        context = self._context
        trials = read_controls(context.database.engine, self.study.study_id).trials
        return max(0, trials - grid.begun - grid.left)

    def _trials_of_prior(self) -> int:
        """Return how many trials of the budget the prior will queue once the study is measured."""
        if self.study.family_of is not None:
            return ALL  # nothing is drawn here: what is to run is queued
        if self.measuring is None or self.measuring.given_up():
            return 0
        prior = self.study.spec.prior
        return most_starting_trials(self.study.space, prior.draws) if prior.use else 0


def _refusal_of(grid: GridState) -> Refusal | None:
    """Return why a grid has no trial to run; None where it has one, or one is queued."""
    if grid.left or grid.waiting:
        return None
    if grid.running:
        n = grid.running
        return Refusal("wait", f"the whole grid is claimed; waiting for {n} running elsewhere")
    return Refusal("done", f"all {grid.points} points of its grid were tried")
