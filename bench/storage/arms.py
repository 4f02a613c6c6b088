"""The arms: which worker, sampler and pruner each of them is."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from asktell import Worker, batched, plain
from filled import STUDY
from optuna.pruners import BasePruner, MedianPruner, NopPruner
from optuna.samplers import BaseSampler, TPESampler
from ours import Ours

from tlsearch.optuna_ext import IncrementalPercentilePruner, ThinnedTPESampler
from tlsearch.spec import PrunerSpec, SamplerSpec


@dataclass(frozen=True)
class Arm:
    """One way to run trials.

    Attributes:
        what: in words.
        build: makes its worker from the URL of the database.
    """

    what: str
    build: Callable[[str], Worker]


def _tpe() -> BaseSampler:
    return TPESampler(multivariate=True)


def _thinned() -> BaseSampler:
    return ThinnedTPESampler(multivariate=True)


def _ask_tell(
    make: Callable[[str, BaseSampler, BasePruner], Worker],
    sampler: Callable[[], BaseSampler],
    pruner: Callable[[], BasePruner],
) -> Callable[[str], Worker]:
    return lambda url: make(url, sampler(), pruner())


def _ours(sampler: SamplerSpec, pruner: PrunerSpec) -> Callable[[str], Worker]:
    return lambda url: Ours(url, STUDY, sampler, pruner)


def _percentile() -> BasePruner:
    return IncrementalPercentilePruner(50.0, max_age_seconds=1.0)


_OUR_TPE = SamplerSpec(name="tpe")
ARMS: Mapping[str, Arm] = {
    "plain-nop": Arm(
        "plain Optuna: RDBStorage by URL, TPESampler(multivariate), NopPruner",
        _ask_tell(plain, _tpe, NopPruner),
    ),
    "plain-median": Arm(
        "plain Optuna: the same with MedianPruner", _ask_tell(plain, _tpe, MedianPruner)
    ),
    "batched-nop": Arm(
        "ask and tell on BatchedStorage, TPESampler, NopPruner", _ask_tell(batched, _tpe, NopPruner)
    ),
    "batched-median": Arm(
        "ask and tell on BatchedStorage, TPESampler, MedianPruner",
        _ask_tell(batched, _tpe, MedianPruner),
    ),
    "thinned-nop": Arm(
        "ask and tell on BatchedStorage, ThinnedTPESampler, NopPruner",
        _ask_tell(batched, _thinned, NopPruner),
    ),
    "thinned-median": Arm(
        "ask and tell on BatchedStorage, ThinnedTPESampler, MedianPruner",
        _ask_tell(batched, _thinned, MedianPruner),
    ),
    "generic": Arm(
        "ask and tell on BatchedStorage, ThinnedTPESampler, IncrementalPercentilePruner(50)",
        _ask_tell(batched, _thinned, _percentile),
    ),
    "plain-thinned-incremental": Arm(
        "plain Optuna's storage, ThinnedTPESampler, IncrementalPercentilePruner(50)",
        _ask_tell(plain, _thinned, _percentile),
    ),
    "tlsearch-nop": Arm(
        "tlsearch's worker, tpe, no pruner", _ours(_OUR_TPE, PrunerSpec(name="none"))
    ),
    "tlsearch-median": Arm(
        "tlsearch's worker, tpe, median after a fifth of the epochs",
        _ours(_OUR_TPE, PrunerSpec(name="median", warmup_fraction=0.2)),
    ),
    "tlsearch": Arm(
        "tlsearch's worker as it is by default: earned_prior, percentile",
        _ours(SamplerSpec(), PrunerSpec()),
    ),
}
