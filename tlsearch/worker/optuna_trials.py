"""Optuna's side of the trials that run here: sampler, pruner, and what they are told.

Trials live in a `BatchedStorage`, which holds what is said of a trial that was adopted; the worker
takes what is held and writes it with its claim, so that a trial that was lost is never written to.
"""

from contextlib import suppress
from dataclasses import dataclass, field
from typing import Protocol

import optuna
from optuna.storages import RDBStorage
from optuna.trial import FrozenTrial, TrialState

from tlsearch.errors import StudyError, TrialFailure
from tlsearch.optuna_ext.pending import Pending
from tlsearch.optuna_ext.storage import BatchedStorage
from tlsearch.prior import normal_priors
from tlsearch.records import (
    AS_RECIPE,
    FIXED_FEATURES,
    Hyperparameters,
    Prior,
    TrialRecord,
    Variation,
)
from tlsearch.records.energy import EnergySpan, spans_of
from tlsearch.records.objective import ACCURACY, OBJECTIVE
from tlsearch.sampler import GridState, build_pruner, build_sampler, grid_state, origin_of
from tlsearch.store.expected import read_expected, with_expected
from tlsearch.store.stored_study import StoredStudy
from tlsearch.store.studies import load_optuna_study
from tlsearch.store.trials import to_record, trial_counts


@dataclass
class OpenTrial:
    """A claimed trial while it runs here.

    Attributes:
        number: Optuna's number of it.
        reported: the last epoch that earlier attempts reported.
        may_prune: False for a trial that was queued on purpose: it is there to be compared with,
            so it runs to its end.
        is_floor: whether it trains a linear classifier on fixed features alone.
        curve: validation accuracies by epoch, as the pruner sees them.
        variation: its own seed, and the images it is trained on.
        energy: that earlier attempts used.
    """

    number: int
    reported: int = 0
    may_prune: bool = True
    is_floor: bool = False
    curve: dict[int, float] = field(default_factory=dict)
    variation: Variation = AS_RECIPE
    energy: tuple[EnergySpan, ...] = ()


class RunningTrials(Protocol):
    """What an attempt asks of Optuna; `OptunaTrials` is it."""

    def open(self, trial_id: int) -> OpenTrial:
        """Begin to run a claimed trial."""

    def suggest(self, trial_id: int) -> Hyperparameters:
        """Return its hyperparameters, as the sampler or the queue has them."""

    def should_prune(self, trial_id: int) -> bool:
        """Whether the pruner wants it to end after the last epoch of its curve."""

    def ended(self, trial_id: int, state: TrialState, score: float) -> None:
        """Let the sampler learn."""

    def has_pending(self, trial_id: int) -> bool:
        """Whether something is to be written of it."""

    def take_pending(self, trial_id: int) -> Pending:
        """Return what is to be written of it, and forget that."""

    def finished(self) -> list[FrozenTrial]:
        """Return the study's finished trials as they were read last; it only grows."""

    def counts(self) -> dict[str, int]:
        """Return how many trials of the study are in each state."""

    def record(self, trial_id: int) -> TrialRecord | None:
        """Return a trial as the database holds it; None where it was deleted."""

    def close(self, trial_id: int) -> None:
        """Forget a trial that no longer runs here."""


class OptunaTrials:
    """The trials of one study that run in this process.

    Raises:
        StudyError: the study was deleted.
    """

    def __init__(self, database: RDBStorage, study: StoredStudy) -> None:
        self._study = study
        self._database = database
        self._storage = BatchedStorage(database)
        self._open: dict[int, FrozenTrial] = {}
        try:
            self._optuna_study = load_optuna_study(
                self._storage,
                study.name,
                build_sampler(study.spec.sampler),
                build_pruner(study.spec.pruner, study.spec.recipe.epochs),
            )
        except KeyError:
            raise StudyError(f"study {study.name!r} was deleted") from None

    def follow_prior(self, prior: Prior | None) -> None:
        """Let the sampler draw from a prior; None = there is none (yet)."""
        beliefs = normal_priors(prior) if prior else None
        self._optuna_study.sampler = build_sampler(self._study.spec.sampler, beliefs)

    def open(self, trial_id: int) -> OpenTrial:
        """Begin to run a claimed trial; may be repeated.

        Raises:
            TrialFailure: its attributes ask for a training that there is not.
        """
        self._storage.release(trial_id)
        frozen = self._storage.adopt(self._study.study_id, trial_id)
        self._open[trial_id] = frozen
        self._optuna_study._thread_local.cached_all_trials = None  # as Study.ask does
        return OpenTrial(
            number=frozen.number,
            reported=max(frozen.intermediate_values, default=0),
            may_prune="fixed_params" not in frozen.system_attrs,
            is_floor=frozen.user_attrs.get("origin") == FIXED_FEATURES,
            curve=frozen.intermediate_values,
            variation=_variation(frozen),
            energy=spans_of(frozen.user_attrs),
        )

    def suggest(self, trial_id: int) -> Hyperparameters:
        """Return the trial's hyperparameters, and note what they are and where they came from.

        Those of the floor are noted as parameters alone: no other trial trains what it trains.
        """
        trial = optuna.Trial(self._optuna_study, trial_id)
        has_origin = "origin" in trial.user_attrs
        shown = self._storage.history(self._study.study_id).shown()
        n_finished = sum(each.state is not TrialState.FAIL for each in shown)
        raw = self._study.space.suggest(trial)
        if self._study.spec.objective != ACCURACY:
            trial.set_user_attr(OBJECTIVE, self._study.spec.objective)
        if trial.user_attrs.get("origin") == FIXED_FEATURES:
            return raw
        if not has_origin:
            frozen = self._storage.get_trial(trial_id)
            origin = origin_of(frozen, self._study.spec.sampler, n_finished)
            trial.set_user_attr("origin", origin)
        # The sampler learns from the raw values; the canonical ones tell which trials train the
        # same model.
        canonical = raw.canonical(self._study.space.n_body_layers)
        trial.set_user_attr("canonical", canonical.as_dict())
        trial.set_user_attr("low_lr", raw.low_lr)
        return raw

    def should_prune(self, trial_id: int) -> bool:
        """Whether the pruner wants the trial to end after the last epoch of its curve."""
        return self._optuna_study.pruner.prune(self._optuna_study, self._open[trial_id])

    def ended(self, trial_id: int, state: TrialState, score: float) -> None:
        """Let the sampler learn, as Optuna's tell does."""
        frozen = self._storage.get_trial(trial_id)
        study = self._optuna_study
        study.sampler.after_trial(study, frozen, state, [score])

    def has_pending(self, trial_id: int) -> bool:
        """Whether something is to be written of the trial."""
        return self._storage.holds(trial_id)

    def take_pending(self, trial_id: int) -> Pending:
        """Return what is to be written of the trial, and forget that."""
        return self._storage.take(trial_id)

    def finished(self) -> list[FrozenTrial]:
        """Return the study's finished trials as they were read last; it only grows."""
        return self._storage.history(self._study.study_id).finished()

    def counts(self) -> dict[str, int]:
        """Return how many trials of the study are in each state (Optuna's, in lower case)."""
        return trial_counts(self._database, self._study.study_id)

    def grid(self) -> GridState | None:
        """Return how far the study's grid has been gone through; None where it has no grid."""
        spec = self._study.spec.sampler
        return grid_state(spec, self._storage.get_all_trials(self._study.study_id, deepcopy=False))

    def record(self, trial_id: int) -> TrialRecord | None:
        """Return a trial as the database holds it; None where it was deleted."""
        with suppress(KeyError):
            record = to_record(self._database.get_trial(trial_id))
            engine, study_id = self._database.engine, self._study.study_id
            return with_expected([record], read_expected(engine, study_id, [record.number]))[0]
        return None

    def close(self, trial_id: int) -> None:
        """Forget a trial that no longer runs here."""
        self._open.pop(trial_id, None)
        self._storage.release(trial_id)


def _variation(trial: FrozenTrial) -> Variation:
    try:
        return Variation.from_attrs(trial.user_attrs)
    except ValueError as error:
        raise TrialFailure("variation", f"trial {trial.number}: {error}") from error
