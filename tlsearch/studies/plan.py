"""Plans a study for a budget of time: which image size, how many epochs, how many trials."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import fmean

from tlsearch.backbones import native_size
from tlsearch.data import find_images
from tlsearch.postgres import embedded
from tlsearch.report.rising import Rising, read_rising
from tlsearch.spec import StudySpec, spec_hash
from tlsearch.store.connect import given_storage, open_storage
from tlsearch.store.studies import read_study
from tlsearch.store.trials import best_first, trial_records
from tlsearch.studies.plan_cost import Cost, as_it_is, with_disk
from tlsearch.studies.plan_rule import (
    Combination,
    SizeFacts,
    combinations,
    least_seconds,
    recommended,
)
from tlsearch.studies.plan_sizes import SizeMeasurer, candidate_sizes
from tlsearch.worker.context import choose_device, device_name

MEASURE_AT_MOST = 60.0  # seconds
MEASURE_SHARE = 0.1  # of the budget


@dataclass(frozen=True, slots=True)
class OwnTrials:
    """What the finished trials of a study say, where it exists already.

    Attributes:
        image_size, epochs: of these trials.
        n_complete: how many are complete.
        best: the best validation accuracy, a fraction; None where none is complete.
        seconds: mean of a complete trial; None likewise.
        rising: how the best curves rise at their end; None where it cannot be told.
        same_spec: whether the study was created from this very spec.
    """

    image_size: int
    epochs: int
    n_complete: int
    best: float | None
    seconds: float | None
    rising: Rising | None
    same_spec: bool


@dataclass(frozen=True, slots=True)
class Plan:
    """Ways to spend a budget.

    Attributes:
        spec: what was planned.
        seconds: the budget, added up over the workers; None where none was given: then nothing
            is proposed.
        workers: how many share it.
        device: what was measured, in words.
        n_train, n_val: images.
        sizes: what was found out about each image size.
        found: what fits into the budget, the best by the rule first.
        chosen: the proposal; None where nothing fits.
        least: the smallest budget into which something fits, seconds; None where no size can be
            used.
        measured_seconds: how long planning took.
        own: of the study itself; None where there is none of that name.
        as_it_is: what the spec costs as it stands.
        cost: of the proposal; None where there is none.
    """

    spec: StudySpec
    seconds: float | None
    workers: int
    device: str
    n_train: int
    n_val: int
    sizes: tuple[SizeFacts, ...]
    found: tuple[Combination, ...]
    chosen: Combination | None
    least: float | None
    measured_seconds: float
    own: OwnTrials | None
    as_it_is: Cost
    cost: Cost | None


def plan_study(
    spec: StudySpec,
    *,
    gpu_hours: float | None = None,
    workers: int = 1,
    sizes: Sequence[int] = (),
    device: str = "auto",
    storage: str | None = None,
    say: Callable[[str], None] = lambda _: None,
) -> Plan:
    """Measure for about a minute, say what the spec costs, and propose how to spend a budget.

    Args:
        spec: of the study, which need not exist.
        gpu_hours: hours of all workers, added up; None = those of the spec. Where that has none,
            nothing is proposed.
        workers: how many workers share them, each on a device as fast as this one.
        sizes: image sizes to look at; none = sizes around the spec's, or without a budget its own.
        device: auto, cpu, cuda or cuda:N.
        storage: where the study may be, as for `create_study`; without one the embedded server, if
            there is one.
        say: told what is going on.

    Raises:
        InputError: images or network cannot be used, or no such device.
        StorageError: the database cannot be used.
    """
    began = time.monotonic()
    hours = spec.budget.gpu_hours if gpu_hours is None else gpu_hours
    seconds, where = None if hours is None else 3600 * hours, choose_device(device)
    own = own_trials(spec, storage)
    say("reading the images")
    catalog = find_images(spec.data, spec.recipe)
    size = spec.recipe.image_size
    wanted = set(sizes)
    if not wanted and seconds is not None:
        wanted |= set(candidate_sizes(size, native_size(spec.backbone.model)))
    time_for_it = MEASURE_AT_MOST
    if seconds is not None:
        time_for_it = min(time_for_it, MEASURE_SHARE * seconds)
    measurer = SizeMeasurer(spec, catalog, where, time_for_it, say)
    facts = measurer.measure(sorted({*wanted, size}))
    n_images = len(catalog.train), catalog.n_validated
    found = [] if seconds is None else combinations(spec, facts, *n_images, seconds)
    chosen, by_size = recommended(found), {each.image_size: each for each in facts}
    pace = by_size[size].pace
    assert pace is not None  # else measuring has raised
    return Plan(
        spec,
        seconds,
        workers,
        device_name(where) or str(where),
        *n_images,
        tuple(facts),
        tuple(found),
        chosen,
        least_seconds(spec, facts, *n_images),
        time.monotonic() - began,
        own,
        as_it_is(spec, by_size[size], pace, n_images, workers),
        None
        if chosen is None
        else with_disk(spec, chosen, by_size[chosen.image_size], n_images, workers),
    )


def own_trials(spec: StudySpec, storage: str | None) -> OwnTrials | None:
    """Return what the study of this name has found, or None where there is none."""
    given = given_storage(storage) or spec.storage
    if given is None and not embedded.data_folder().exists():
        return None
    database = open_storage(given)
    study = read_study(database, spec.name)
    if study is None:
        return None
    complete = [
        trial
        for trial in best_first(trial_records(database, study.study_id))
        if trial.duplicate_of is None and trial.epochs == study.spec.recipe.epochs
    ]  # without the floor, which is not trained
    seconds = [trial.seconds for trial in complete if trial.seconds]
    return OwnTrials(
        image_size=study.spec.recipe.image_size,
        epochs=study.spec.recipe.epochs,
        n_complete=len(complete),
        best=complete[0].val_accuracy if complete else None,
        seconds=fmean(seconds) if seconds else None,
        rising=read_rising(database.engine, study),
        same_spec=study.spec_hash == spec_hash(spec),
    )
