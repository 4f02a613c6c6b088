"""What a study costs: time, disk and memory, from what was measured in a few bursts."""

from dataclasses import dataclass

from tlsearch.finetune.pace import Pace
from tlsearch.sampler import grid_points
from tlsearch.spec import StudySpec
from tlsearch.studies.plan_rule import Combination, SizeFacts, cost_of
from tlsearch.worker.expected_time import networks_of

_WHILE_WRITTEN = 2  # a checkpoint is written beside the one that it replaces


@dataclass(frozen=True, slots=True)
class Disk:
    """Bytes on disk, at most.

    Attributes:
        checkpoints: of the trials that run, in the study's folder of files.
        models: that are kept, in the same folder.
        images: decoded ones, in the cache of each machine.
    """

    checkpoints: int
    models: int
    images: int

    @property
    def total(self) -> int:
        """All of it, with the cache of one machine."""
        return self.checkpoints + self.models + self.images


@dataclass(frozen=True, slots=True)
class Cost:
    """What a study costs.

    Attributes:
        image_size, epochs, trials: of the study.
        trial_seconds: of one trial, on one worker; not pruned.
        measuring_seconds: for the measures.
        total_seconds: of the measures and all trials, added up over the workers.
        disk: for all workers together.
        memory_bytes: of one worker: on a CPU of its whole process, on a GPU what torch reserves
            there; with all images. None where the size was not measured.
    """

    image_size: int
    epochs: int
    trials: int
    trial_seconds: float
    measuring_seconds: float
    total_seconds: float
    disk: Disk
    memory_bytes: int | None

    @property
    def gpu_hours(self) -> float:
        """All of the time, in hours of a worker."""
        return self.total_seconds / 3600


def as_it_is(
    spec: StudySpec, facts: SizeFacts, pace: Pace, n_images: tuple[int, int], workers: int
) -> Cost:
    """Return what the spec costs as it stands.

    Args:
        spec: of the study.
        facts: of its image size.
        pace: of its image size.
        n_images: for training and for validation.
        workers: how many run at the same time.
    """
    one = cost_of(spec, facts, pace, spec.recipe.epochs, planned_trials(spec), n_images)
    return with_disk(spec, one, facts, n_images, workers)


def with_disk(
    spec: StudySpec, one: Combination, facts: SizeFacts, n_images: tuple[int, int], workers: int
) -> Cost:
    """Return what a combination costs; arguments as for `as_it_is`."""
    pace = facts.pace
    assert pace is not None
    images = round(facts.image_bytes * (n_images[1] if spec.data.folds else sum(n_images)))
    floor = _has_floor(spec)  # its model is kept as well
    kept = min(spec.checkpoints.keep_best, one.trials) + floor
    running = min(workers, one.trials)
    networks = networks_of(spec, keeps=spec.checkpoints.keep_best > 0)
    checkpoint = networks * pace.checkpoint_bytes
    disk = Disk(_WHILE_WRITTEN * running * checkpoint, kept * pace.model_bytes, images)
    # All networks of a trial are in memory, with what their optimisers and L2-SP keep of them.
    others = (networks - 1) * (pace.checkpoint_bytes + pace.model_bytes)
    return Cost(
        one.image_size,
        one.epochs,
        one.trials,
        one.trial_seconds,
        one.measuring_seconds,
        one.total_seconds,
        disk,
        None if pace.peak_bytes is None else pace.peak_bytes + others + images,
    )


def planned_trials(spec: StudySpec) -> int:
    """Return the trials of the budget, or of the grid with those queued before it, if fewer."""
    points = grid_points(spec.sampler)
    if points is None:
        return spec.budget.trials
    queued = 2 if _has_floor(spec) else 1  # the plain default; the floor
    return min(spec.budget.trials, points + queued)


def _has_floor(spec: StudySpec) -> bool:
    return spec.measures.when != "off" or spec.data.multi_label
