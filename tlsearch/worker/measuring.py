"""Sees to it that a study is measured once, whatever the number of workers.

The costly measure, training from random weights, is the one trial of the study `NAME/measures`, so
workers claim it, rescue it and record it as any other. Whoever finds it ended takes the measures
that need no training, derives the prior and queues its seeds; the others search meanwhile.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from optuna.storages import RDBStorage

from tlsearch.data import Domain, load_catalog, load_domain, load_training_data
from tlsearch.errors import BackboneError, DataError, StudyError, TrialFailure
from tlsearch.finetune import lr_range_test
from tlsearch.measures import FeatureMeasures, Features, features_of, measure_features
from tlsearch.prior import prior_of, starting_trials
from tlsearch.records import EpochReport, Measures, Prior, TrialRecord, measures_study_name
from tlsearch.store.claims import Claim
from tlsearch.store.locks import sole_attempt
from tlsearch.store.measures import (
    note_unmeasured,
    read_measures,
    read_prior,
    read_unmeasured,
    settle,
)
from tlsearch.store.stored_study import StoredStudy
from tlsearch.store.studies import read_study
from tlsearch.store.trials import trial_records
from tlsearch.worker.progress import Progress, SilentProgress
from tlsearch.worker.trial_runner import TrialRunner
from tlsearch.worker.workplace import Workplace


class _UnmeasurableError(StudyError):
    """The study lacks what measuring needs."""


class Measuring:
    """Takes a study's measures step by step, between a worker's trials."""

    def __init__(
        self,
        storage: RDBStorage,
        runner: TrialRunner,
        runner_of: Callable[[StoredStudy, Workplace, Progress], TrialRunner],
    ) -> None:
        self._storage = storage
        self._study = runner.study
        self._workplace = runner.workplace
        self._progress = runner.progress
        self._runner_of = runner_of
        self._over = False

    def over(self) -> bool:
        """Whether the measures are taken."""
        if not self._over:
            self._over = read_measures(self._storage, self._study.study_id) is not None
        return self._over

    def given_up(self) -> bool:
        """Whether the measures are taken, or were tried and could not be."""
        if not self.over():
            self._over = read_unmeasured(self._storage, self._study.study_id) is not None
        return self._over

    def step_or_give_up(self) -> bool:
        """Do as `step`, but note a failure with the study, so that the search goes on without."""
        if self.given_up():
            return False
        try:
            return self.step()
        except (DataError, BackboneError, _UnmeasurableError) as error:
            reason = str(error)
        except (RuntimeError, ValueError, ArithmeticError) as error:
            reason = f"{type(error).__name__}: {(str(error).splitlines() or [''])[0]}"
        try:
            note_unmeasured(self._storage, self._study.study_id, reason)
        except KeyError:
            raise StudyError(f"study {self._study.name!r} was deleted") from None
        self._progress.preparing(f"could not be measured, the search has no prior: {reason}")
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
        runner = self._random_init_runner()
        claim = runner.claim()
        if isinstance(claim, Claim):
            runner.run(claim)
            return True
        if not claim.over:
            return False
        (random_init,) = trial_records(self._storage, runner.study.study_id)
        with sole_attempt(self._storage.engine, self._study.study_id) as free:
            if not free or self.over():
                return False
            self._settle(random_init)
        return True

    def _random_init_runner(self) -> TrialRunner:
        name = measures_study_name(self._study.name)
        family = read_study(self._storage, name)
        if family is None:
            raise _UnmeasurableError(
                f"study {name!r}, which trains from random weights, is gone; create the study "
                "again under another name to have it measured"
            )
        return self._runner_of(
            family,
            replace(self._workplace, space=family.space),
            _RandomInitProgress(self._progress, family.spec.recipe.epochs),
        )

    def _settle(self, random_init: TrialRecord) -> None:
        spec, space = self._study.spec, self._workplace.space
        self._progress.preparing("measuring how well the pretrained weights fit")
        measures = self._measures(random_init)
        begun = read_prior(self._storage, self._study.study_id)  # by one that was interrupted
        prior = begun or self._prior(measures)
        seeds = []
        if prior is not None:
            seeds = starting_trials(prior, space, spec.prior.draws, spec.sampler.seed)
        try:
            settle(self._storage, self._study, measures, prior, seeds)
        except KeyError:
            raise StudyError(f"study {self._study.name!r} was deleted") from None

    def _prior(self, measures: Measures) -> Prior | None:
        study = self._study
        return prior_of(study.spec, study.space, study.data.n_train, measures)

    def _measures(self, random_init: TrialRecord) -> Measures:
        start = time.monotonic()
        of_features = self._feature_measures()
        between = time.monotonic()
        lr_range = self._lr_range()
        end = time.monotonic()
        complete = random_init.state == "complete"
        return Measures(
            fixed_features=of_features.fixed.val_accuracy,
            fixed_features_strength=of_features.fixed.strength,
            random_init=random_init.val_accuracy if complete else None,
            random_init_epochs=random_init.epochs,
            fisher=of_features.fisher.score,
            fisher_floor=of_features.fisher.floor,
            fisher_floor_spread=of_features.fisher.floor_spread,
            emd=of_features.emd,
            emd_similarity=of_features.emd_similarity,
            emd_source=of_features.emd_source,
            lr_range=lr_range,
            n_val=self._study.data.n_val,
            feature_seconds=round(between - start, 3),
            lr_range_seconds=round(end - between, 3),
            random_init_seconds=random_init.seconds or 0.0,
        )

    def _feature_measures(self) -> FeatureMeasures:
        recipe, place = self._study.spec.recipe, self._workplace
        catalog = load_catalog(place.data_spec)
        if catalog.fingerprint != self._study.data.fingerprint:
            raise DataError(f"data.path {place.data_spec.path}: the images changed meanwhile")
        images = load_training_data(catalog, recipe.image_size, recipe.eval_crop)
        train, val = (
            features_of(
                place.backbone,
                lambda part=part: [part],  # type: ignore[misc]
                f"{catalog.fingerprint}/{name}",
                recipe,
                place.device,
                f"data.path {place.data_spec.path}",
            )
            for name, part in (("train", images.train), ("val", images.val))
        )
        try:
            source = self._source()
        except DataError as error:  # of no weight unless asked for, so no reason to stop
            measured = measure_features(train, val)
            return replace(measured, emd_source=f"not measured ({error})")
        return measure_features(train, val, source, place.backbone.source_rows)

    def _source(self) -> tuple[str, Features] | None:
        path = self._study.spec.measures.source
        if path is None:
            return None
        recipe, place = self._study.spec.recipe, self._workplace
        domain: Domain = load_domain(path)
        features = features_of(
            place.backbone,
            lambda: domain.decoded(recipe.image_size, recipe.eval_crop),
            domain.fingerprint,
            recipe,
            place.device,
            f"measures.source {path}",
        )
        return path, features

    def _lr_range(self) -> float | None:
        place = self._workplace
        try:
            return lr_range_test(place.backbone, place.data, self._study.spec.recipe, place.device)
        except (TrialFailure, RuntimeError):  # trials will fail alike and say why
            return None


@dataclass(frozen=True)
class _RandomInitProgress(SilentProgress):
    """Tells of the training from random weights in the worker's own display."""

    progress: Progress
    epochs: int

    def epoch(self, number: int, report: EpochReport) -> None:
        """Show the epoch that ended."""
        del number
        self.progress.measuring(
            f"measuring: training from random weights, epoch {report.epoch}/{self.epochs}, "
            f"val {100 * report.val_accuracy:.1f} %"
        )
