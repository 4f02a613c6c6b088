"""Which image size, how many epochs and how many trials a budget of time is best spent on.

A rule of thumb, with the evidence that there is. Its constants are here, in one place; they are
points of accuracy (as fractions), and a larger table of real fine-tunes should replace them.

- Trials: in replays on three targets under two surrogates the expected accuracy of the incumbent
  is 0.2 points higher after 16 trials than after 8, mean of the six, and 0.2 higher after 40 than
  after 16 (`docs/search.md`, bench/search/results/replay.json: default sampler and pruner).
- Epochs: see `docs/plan.md` for 10, 20 and 40 epochs on three targets.
- Size: what fixed features gain from it, by their standard error less. Where both were measured,
  from 64 to 128 pixels, fine-tuning gained 2 and 6 points and fixed features 3 and 2.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from tlsearch.finetune.pace import Pace
from tlsearch.spec import StudySpec
from tlsearch.worker.expected_time import measuring_seconds, trial_seconds

FEWEST_TRIALS = 8  # the starting trials, with two draws
ENOUGH_TRIALS = 16
MOST_TRIALS = 40
PER_DOUBLING_OF_TRIALS = 0.003  # from FEWEST_TRIALS to ENOUGH_TRIALS; none after that
EPOCHS = (10, 20, 40)
GAIN_OF_EPOCHS = (0.0, 0.02, 0.03)  # by EPOCHS, between them by their logarithm; none after that
NO_DIFFERENCE = 0.003  # combinations this close to the best one are as good; the shortest is taken


@dataclass(frozen=True, slots=True)
class Probe:
    """How good fixed features are at one image size.

    Attributes:
        val_accuracy: of a linear classifier on them, a fraction; of several labels an image its
            mean average precision, or its score by another objective that was asked for.
        error: its standard error by the validation images.
        gain: over the spec's size.
        gain_error: its standard error; both classifiers see the same validation images.
        seconds: that features and classifier took.
    """

    val_accuracy: float
    error: float
    gain: float
    gain_error: float
    seconds: float


@dataclass(frozen=True, slots=True)
class SizeFacts:
    """What was found out about an image size.

    Attributes:
        image_size: pixels.
        pace: how long training takes; None where it cannot be trained.
        probe: fixed features; None where there are no figures.
        upscaled: whether most images are stored with fewer pixels.
        refused: why the size cannot be used; None where it can.
        no_probe: why there are no figures of fixed features; None where there are.
        image_bytes: mean of a decoded image.
    """

    image_size: int
    pace: Pace | None
    probe: Probe | None = None
    upscaled: bool = False
    refused: str | None = None
    no_probe: str | None = None
    image_bytes: float = 0.0


@dataclass(frozen=True, slots=True)
class Combination:
    """A way to spend the budget.

    Attributes:
        image_size, epochs, trials: what the study would be given.
        trial_seconds: of one trial, on one worker; not pruned.
        measuring_seconds: for the measures, before the search.
        total_seconds: of the measures and all trials, added up over the workers.
        points: what the rule expects it to gain over the spec's size with 10 epochs and the
            starting trials alone; a rule of thumb, for comparisons only.
    """

    image_size: int
    epochs: int
    trials: int
    trial_seconds: float
    measuring_seconds: float
    total_seconds: float
    points: float


def combinations(
    spec: StudySpec, sizes: Iterable[SizeFacts], n_train: int, n_val: int, seconds: float
) -> list[Combination]:
    """Return what fits into the budget: for each size and number of epochs the most trials.

    Args:
        spec: of the study.
        sizes: what was found out about each size.
        n_train: training images.
        n_val: validation images.
        seconds: of all workers, added up.

    Returns:
        Those with `FEWEST_TRIALS` at least, the best by the rule first.
    """
    found = [
        one
        for facts in sizes
        if facts.pace is not None and facts.refused is None
        for epochs in candidate_epochs(spec)
        if (one := _fitting(spec, facts, facts.pace, epochs, (n_train, n_val), seconds)) is not None
    ]
    return sorted(found, key=lambda one: (-one.points, one.total_seconds))


def recommended(found: Sequence[Combination]) -> Combination | None:
    """Return the shortest of those that are as good as the best; None where none fits."""
    if not found:
        return None
    best = max(one.points for one in found)
    as_good = [one for one in found if one.points >= best - NO_DIFFERENCE]
    return min(as_good, key=lambda one: one.total_seconds)


def least_seconds(
    spec: StudySpec, sizes: Iterable[SizeFacts], n_train: int, n_val: int
) -> float | None:
    """Return the smallest budget into which a combination fits; None where no size can be used."""
    totals = [
        cost_of(spec, facts, facts.pace, epochs, FEWEST_TRIALS, (n_train, n_val)).total_seconds
        for facts in sizes
        if facts.pace is not None and facts.refused is None
        for epochs in candidate_epochs(spec)
    ]
    return min(totals, default=None)


def candidate_epochs(spec: StudySpec) -> list[int]:
    """Return the numbers of epochs to choose from: the rule's, and the spec's own."""
    warmup = spec.recipe.warmup_epochs if "warmup_epochs" in spec.recipe.model_fields_set else 0
    own = spec.recipe.epochs
    return sorted({own, *(epochs for epochs in EPOCHS if epochs > max(warmup, 3))})


def points(facts: SizeFacts, epochs: int, trials: int) -> float:
    """Return what the rule expects, over the spec's size with 10 epochs and the fewest trials."""
    by_size = 0.0
    if facts.probe is not None:
        beyond = max(0.0, abs(facts.probe.gain) - facts.probe.gain_error)
        by_size = math.copysign(beyond, facts.probe.gain)
    searched = min(max(trials, FEWEST_TRIALS), ENOUGH_TRIALS)
    by_trials = PER_DOUBLING_OF_TRIALS * math.log2(searched / FEWEST_TRIALS)
    return by_size + gain_of_epochs(epochs) + by_trials


def gain_of_epochs(epochs: int) -> float:
    """Return what the rule expects of so many epochs, over 10: negative below."""
    logs = [math.log2(known) for known in EPOCHS]
    at = math.log2(epochs)
    if at >= logs[-1]:
        return GAIN_OF_EPOCHS[-1]
    upper = next(i for i in range(1, len(logs)) if at < logs[i])
    slope = (GAIN_OF_EPOCHS[upper] - GAIN_OF_EPOCHS[upper - 1]) / (logs[upper] - logs[upper - 1])
    return GAIN_OF_EPOCHS[upper] + slope * (at - logs[upper])


def _fitting(
    spec: StudySpec,
    facts: SizeFacts,
    pace: Pace,
    epochs: int,
    n_images: tuple[int, int],
    seconds: float,
) -> Combination | None:
    for trials in range(MOST_TRIALS, FEWEST_TRIALS - 1, -1):
        one = cost_of(spec, facts, pace, epochs, trials, n_images)
        if one.total_seconds <= seconds:
            return one
    return None


def cost_of(
    spec: StudySpec,
    facts: SizeFacts,
    pace: Pace,
    epochs: int,
    trials: int,
    n_images: tuple[int, int],
) -> Combination:
    """Return what so many trials of so many epochs cost at one size, whatever the budget."""
    recipe = spec.recipe.model_copy(update={"epochs": epochs})
    budget = spec.budget.model_copy(update={"trials": trials})
    planned = spec.model_copy(update={"recipe": recipe, "budget": budget})
    features = None if facts.probe is None else facts.probe.seconds
    trial = trial_seconds(planned, pace, *n_images)
    measuring = measuring_seconds(planned, pace, *n_images, features)
    return Combination(
        facts.image_size,
        epochs,
        trials,
        trial,
        measuring,
        measuring + trials * trial,
        points(facts, epochs, trials),
    )
