"""Lets a sampler draw a few trials before a study is created."""

import optuna
from optuna.study import StudyDirection

from tlsearch.errors import SpecError, first_line
from tlsearch.optuna_ext.quiet import without_notices
from tlsearch.optuna_ext.seeded import SeededPerTrialSampler
from tlsearch.records import Hyperparameters
from tlsearch.sampler.build import build_sampler
from tlsearch.sampler.grid import grid_points
from tlsearch.space import SearchSpace
from tlsearch.spec import SamplerSpec

_TRIALS = 12  # at most, of a grid its points: Optuna's samplers draw at random for the first ten


def try_sampler(spec: SamplerSpec, space: SearchSpace) -> None:
    """Let the sampler draw a few trials, so that what does not work shows before any training.

    Raises:
        SpecError: there is no such sampler, it needs a package that is not installed, does not
            take these options, or cannot search this space.
    """
    sampler = build_sampler(spec)
    if not isinstance(sampler, SeededPerTrialSampler):
        return  # earned_prior, whose options the spec has checked
    storage = optuna.storages.InMemoryStorage()
    with without_notices():
        storage.create_new_study([StudyDirection.MAXIMIZE], "tried")
    study = optuna.load_study(study_name="tried", storage=storage, sampler=sampler)
    try:
        _run(study, space, min(_TRIALS, max(1, grid_points(spec) or _TRIALS)))
    except Exception as error:  # of any type: that depends on the sampler
        options = f" with options {spec.options}" if spec.options else ""
        why = first_line(error)
        raise SpecError(
            [f"sampler: {spec.name}{options} does not work here ({why}); correct it or use tpe"]
        ) from error


def _run(study: optuna.Study, space: SearchSpace, n_trials: int) -> None:
    for number in range(n_trials):
        trial = study.ask()
        _check_drawn(space.suggest(trial), space)
        study.tell(trial, float(number))


def _check_drawn(drawn: Hyperparameters, space: SearchSpace) -> None:
    for name, value in drawn.as_dict().items():
        given = space.ranges[name]
        if not given.low <= value <= given.high:
            raise ValueError(f"{name} = {value:g} lies outside [{given.low:g}, {given.high:g}]")
