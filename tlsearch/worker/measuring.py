"""Sees to it that a study is measured once, whatever the number of workers.

The costly measure, training from random weights, is the one trial of the study `NAME/measures`, so
workers claim it, rescue it and record it as any other. The worker that finds it ended takes the
other measures, derives the prior and queues its trials; the others search meanwhile.
"""

from dataclasses import dataclass

from tlsearch.errors import BackboneError, DataError, StudyError, TlsearchError, described
from tlsearch.prior import prior_of, starting_trials
from tlsearch.records import (
    EpochReport,
    Prior,
    QueuedTrial,
    TrialRecord,
    measures_study_name,
)
from tlsearch.records.objective import Objective, val_words
from tlsearch.store.claims import Claim
from tlsearch.store.locks import sole_attempt
from tlsearch.store.measures import (
    note_unmeasured,
    read_measures,
    read_prior,
    read_unmeasured,
    save_measures,
)
from tlsearch.store.outages import DATABASE_ERRORS
from tlsearch.store.studies import read_study
from tlsearch.store.trials import trial_records
from tlsearch.worker.context import WorkerContext
from tlsearch.worker.materials import TrainingMaterials
from tlsearch.worker.optuna_trials import OptunaTrials
from tlsearch.worker.progress import Progress, SilentProgress
from tlsearch.worker.take_measures import take_measures
from tlsearch.worker.trial_runner import TrialRunner


class _UnmeasurableError(StudyError):
    """The study lacks what measuring needs."""


class Measuring:
    """Measures a study step by step, between a worker's trials."""

    def __init__(self, context: WorkerContext, materials: TrainingMaterials) -> None:
        self._context = context
        self._materials = materials
        self._over = False

    def over(self) -> bool:
        """Whether the measures are taken."""
        if not self._over:
            self._over = read_measures(self._context.database, self._study_id) is not None
        return self._over

    def given_up(self) -> bool:
        """Whether the measures are taken, or were tried and could not be."""
        if not self.over():
            self._over = read_unmeasured(self._context.database, self._study_id) is not None
        return self._over

    def step_or_give_up(self) -> bool:
        """Do as `step`, but note a failure with the study, so that the search goes on without."""
        if self.given_up():
            return False
        try:
            return self.step()
        except (DataError, BackboneError, _UnmeasurableError) as error:
            reason = str(error)
        except (TlsearchError, *DATABASE_ERRORS):
            raise
        except Exception as error:  # of a library, a file: the search needs no measures
            reason = described(error)
        try:
            note_unmeasured(self._context.database, self._study_id, reason)
        except KeyError:
            raise self._deleted() from None
        self._context.progress.preparing(
            f"could not be measured, the search has no prior: {reason}"
        )
        return True

    def step(self) -> bool:
        """Do the next thing there is to do.

        Returns:
            False where there is nothing: all is done, or the rest is under way elsewhere.

        Raises:
            DataError: the images cannot be measured.
            StudyError: the study was deleted.
        """
        if self.over():
            return False
        runner, study_id = self._random_init()
        claim = runner.claim()
        if isinstance(claim, Claim):
            runner.run(claim)
            return True
        if not claim.over:
            return False
        (random_init,) = trial_records(self._context.database, study_id)
        with sole_attempt(self._context.database.engine, self._study_id) as free:
            if not free or self.over():
                return False
            self._measure(random_init)
        return True

    @property
    def _study_id(self) -> int:
        return self._context.study.study_id

    def _random_init(self) -> tuple[TrialRunner, int]:
        """Return what runs the training from random weights, and Optuna's key of its study."""
        name = measures_study_name(self._context.study.name)
        study = read_study(self._context.database, name)
        if study is None:
            raise _UnmeasurableError(
                f"study {name!r}, which trains from random weights, is gone; create the study "
                "again under another name to have it measured"
            )
        progress = _RandomInitProgress(
            self._context.progress, study.spec.recipe.epochs, study.spec.objective
        )
        context = self._context.for_study(study, progress)
        trials = context.retry.call(lambda: OptunaTrials(context.database, study))
        return TrialRunner(context, self._materials, trials), study.study_id

    def _measure(self, random_init: TrialRecord) -> None:
        """Take the other measures, derive the prior, and store both with the prior's trials."""
        context, study = self._context, self._context.study
        context.progress.preparing("measuring how well the pretrained weights fit")
        measures = take_measures(context, self._materials, random_init)
        begun = read_prior(context.database, self._study_id)  # by one that was interrupted
        prior = begun or prior_of(study.spec, study.space, study.data.n_train, measures)
        try:
            save_measures(context.database, study, measures, prior, self._trials_of(prior))
        except KeyError:
            raise self._deleted() from None

    def _trials_of(self, prior: Prior | None) -> list[QueuedTrial]:
        spec, space = self._context.study.spec, self._context.study.space
        if prior is None:
            return []
        return starting_trials(prior, space, spec.prior.draws, spec.sampler.seed)

    def _deleted(self) -> StudyError:
        return StudyError(f"study {self._context.study.name!r} was deleted")


@dataclass(frozen=True)
class _RandomInitProgress(SilentProgress):
    """Tells of the training from random weights in the worker's own display."""

    progress: Progress
    epochs: int
    objective: Objective

    def epoch(self, number: int, report: EpochReport) -> None:
        """Show the epoch that ended."""
        del number
        self.progress.measuring(
            f"measuring: training from random weights, epoch {report.epoch}/{self.epochs}, "
            f"val {val_words(self.objective, report.score(self.objective), None)}"
        )
