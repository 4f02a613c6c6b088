"""Builds the sampler that a spec names.

What a sampler draws for trial n depends on the seed, on n and on the trials in the database, and
on nothing in a worker's memory: any worker, after any restart, draws the same.
"""

import inspect
from collections.abc import Mapping
from functools import partial

import optuna
from optuna.samplers import BaseSampler, RandomSampler
from optuna.trial import FrozenTrial

from tlsearch.errors import SpecError
from tlsearch.optuna_ext.earned_prior import COMPONENT, EarnedPriorSampler, NormalPrior
from tlsearch.optuna_ext.seeded import SeededPerTrialSampler
from tlsearch.optuna_ext.thinned_tpe import ThinnedTPESampler
from tlsearch.spec import SamplerSpec

# Samplers that walk along one sequence, the same for all trials.
_SEQUENCES = frozenset({"GridSampler", "QMCSampler"})
# Abstract ones, one that needs another sampler (fix values in [space] instead), and one that
# searches finite spaces alone.
_NOT_OFFERED = frozenset(
    {"BaseSampler", "BaseGASampler", "PartialFixedSampler", "BruteForceSampler"}
)


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


def origin_of(trial: FrozenTrial, spec: SamplerSpec, n_finished: int) -> str:
    """Return the origin of a trial that was not queued: `tpe`, `prior` (as `draw`), `uniform`.

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


def _optuna_sampler(spec: SamplerSpec) -> BaseSampler:
    """Return one of Optuna's samplers, seeded for each trial where it takes a seed."""
    sampler_class = _class_of(spec)
    takes_seed = "seed" in inspect.signature(sampler_class).parameters

    def build(seed: int) -> BaseSampler:
        return sampler_class(**spec.options, **({"seed": seed} if takes_seed else {}))

    return SeededPerTrialSampler(build, spec.seed, same=spec.name in _SEQUENCES)


def _class_of(spec: SamplerSpec) -> type[BaseSampler]:
    known = sorted({*optuna.samplers.__all__} - _NOT_OFFERED)
    found: type[BaseSampler] | None = getattr(optuna.samplers, spec.name, None)
    if found is None or spec.name not in known:
        names = ", ".join(name for name in known if name.endswith("Sampler"))
        raise SpecError(
            [f"sampler.name = {spec.name!r}: Optuna has no such sampler of use here; use {names}"]
        )
    return found
