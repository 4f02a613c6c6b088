"""Builds the sampler and the pruner that a spec names.

What a sampler draws for trial n depends on the seed, on n and on the trials in the database, and
on nothing in a worker's memory: any worker, after any restart, draws the same.
"""

import inspect
import math
from collections.abc import Callable, Mapping
from functools import partial

import optuna
from optuna.pruners import (
    BasePruner,
    HyperbandPruner,
    NopPruner,
    PatientPruner,
    SuccessiveHalvingPruner,
    WilcoxonPruner,
)
from optuna.samplers import BaseSampler, RandomSampler
from optuna.trial import FrozenTrial

from tlsearch.errors import SpecError
from tlsearch.optuna_ext.earned_prior import COMPONENT, EarnedPriorSampler, NormalPrior
from tlsearch.optuna_ext.percentile_pruner import IncrementalPercentilePruner
from tlsearch.optuna_ext.quiet import without_notices
from tlsearch.optuna_ext.seeded import SeededPerTrialSampler
from tlsearch.optuna_ext.thinned_tpe import ThinnedTPESampler
from tlsearch.records import Hyperparameters
from tlsearch.space import SearchSpace
from tlsearch.spec import PrunerSpec, SamplerSpec


def build_sampler(
    spec: SamplerSpec, beliefs: Mapping[str, NormalPrior] | None = None
) -> BaseSampler:
    """Return the sampler of a spec.

    Args:
        spec: the `[sampler]` table.
        beliefs: the prior by hyperparameter name, where there is one.

    Raises:
        SpecError: Optuna has no such sampler, or it does not take these options.
    """
    if spec.name == "earned_prior":
        return EarnedPriorSampler(
            beliefs or {},
            seed=spec.seed,
            n_startup_trials=spec.startup_trials,
            uniform_share=spec.uniform_share,
        )
    if spec.name == "random":
        return SeededPerTrialSampler(lambda seed: RandomSampler(seed=seed), spec.seed)
    if spec.name == "tpe":
        build = partial(ThinnedTPESampler, n_startup_trials=spec.startup_trials, multivariate=True)
        return SeededPerTrialSampler(lambda seed: build(seed=seed), spec.seed)
    return _optuna_sampler(spec)


def build_pruner(spec: PrunerSpec, epochs: int) -> BasePruner:
    """Return the pruner of a spec for trials of so many epochs.

    None of them prunes in the first `warmup_fraction` of the epochs. Wilcoxon's test compares a
    trial with the best one epoch by epoch; patient prunes a trial that has stopped improving,
    whatever the others do.
    """
    warmup = math.ceil(spec.warmup_fraction * epochs)
    percentile = partial(
        IncrementalPercentilePruner,
        n_startup_trials=spec.startup_trials,
        n_warmup_steps=warmup,
        max_age_seconds=1.0,
    )
    if spec.name == "successive_halving":
        return SuccessiveHalvingPruner(
            min_resource=max(1, warmup), reduction_factor=spec.reduction_factor
        )
    if spec.name == "hyperband":
        return HyperbandPruner(max(1, warmup), epochs, spec.reduction_factor)
    simple: dict[str, Callable[[], BasePruner]] = {
        "none": NopPruner,
        "median": lambda: percentile(50.0),
        "percentile": lambda: percentile(100 - spec.percentile),
        "patient": lambda: _NotBefore(PatientPruner(None, spec.patience_epochs), warmup),
        "wilcoxon": lambda: WilcoxonPruner(p_threshold=spec.p_threshold, n_startup_steps=warmup),
    }
    return simple[spec.name]()


def origin_of(trial: FrozenTrial, spec: SamplerSpec, n_finished: int) -> str:
    """Return the origin of a trial that nobody queued: `tpe`, `prior` (as `draw`), `uniform`.

    For other samplers of Optuna it is the class's name.

    Args:
        trial: the trial, its hyperparameters suggested.
        spec: the `[sampler]` table.
        n_finished: complete and pruned trials when they were suggested.
    """
    component = trial.system_attrs.get(COMPONENT)
    if component is not None:
        return "draw" if component == "prior" else str(component)
    if spec.name == "random" or (spec.name == "tpe" and n_finished < spec.startup_trials):
        return "uniform"
    return spec.name


class _NotBefore(BasePruner):
    """Lets a pruner speak only after so many steps."""

    def __init__(self, pruner: BasePruner, n_warmup_steps: int) -> None:
        self._pruner = pruner
        self._n_warmup_steps = n_warmup_steps

    def prune(self, study: optuna.Study, trial: FrozenTrial) -> bool:
        """See `optuna.pruners.BasePruner`."""
        step = trial.last_step
        if step is None or step < self._n_warmup_steps:
            return False
        return self._pruner.prune(study, trial)


def _optuna_sampler(spec: SamplerSpec) -> BaseSampler:
    """Return one of Optuna's samplers, seeded for each trial where it takes a seed."""
    found = getattr(optuna.samplers, spec.name, None)
    known = sorted({*optuna.samplers.__all__} - _NO_SAMPLERS_OF_OURS)
    if found is None or spec.name not in known:
        names = ", ".join(name for name in known if name.endswith("Sampler"))
        raise SpecError(
            [f"sampler.name = {spec.name!r}: Optuna has no such sampler of use here; use {names}"]
        )
    takes_seed = "seed" in inspect.signature(found).parameters

    def build(seed: int) -> BaseSampler:
        sampler: BaseSampler = found(**spec.options, **({"seed": seed} if takes_seed else {}))
        return sampler

    return SeededPerTrialSampler(build, spec.seed, same=spec.name in _SEQUENCES)


def try_sampler(spec: SamplerSpec, space: SearchSpace) -> None:
    """Let the sampler draw a few trials, so that what does not work shows before any training.

    Raises:
        SpecError: there is no such sampler, it needs a package that is not installed, does not
            take these options, or cannot search this space.
    """
    sampler = build_sampler(spec)
    if not isinstance(sampler, SeededPerTrialSampler):
        return
    storage = optuna.storages.InMemoryStorage()
    with without_notices():
        storage.create_new_study([optuna.study.StudyDirection.MAXIMIZE], "tried")
    study = optuna.load_study(study_name="tried", storage=storage, sampler=sampler)
    try:
        for number in range(_TRIED):
            trial = study.ask()
            _check_drawn(space.suggest(trial), space)
            study.tell(trial, float(number))
    except Exception as error:  # whatever a sampler makes of options it does not know
        first = (str(error).splitlines() or [type(error).__name__])[0]
        options = f" with options {spec.options}" if spec.options else ""
        raise SpecError(
            [f"sampler: {spec.name}{options} does not work here ({first}); correct it or use tpe"]
        ) from error


def _check_drawn(drawn: Hyperparameters, space: SearchSpace) -> None:
    for name, value in drawn.as_dict().items():
        given = space.ranges[name]
        if not given.low <= value <= given.high:
            raise ValueError(f"{name} = {value:g} lies outside [{given.low:g}, {given.high:g}]")


_TRIED = 12  # Optuna's samplers draw at random for the first ten
_SEQUENCES = frozenset({"GridSampler", "QMCSampler"})
# Abstract ones, one that needs another sampler (fix values in [space] instead), and one that
# searches finite spaces alone.
_NO_SAMPLERS_OF_OURS = {
    "BaseSampler",
    "BaseGASampler",
    "PartialFixedSampler",
    "BruteForceSampler",
}
