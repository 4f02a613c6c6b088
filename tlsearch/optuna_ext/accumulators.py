"""What samplers and pruners work out from a study's finished trials, kept up to date.

Optuna's own go through all trials at every call: at 10,000 trials that is most of what a trial
costs. Here each finished trial is taken in once, for finished trials never change. What was worked
out belongs to the storage object: samplers and pruners may come and go. It follows from the
finished trials alone, in whatever order a process got to see them.

Needs Optuna alone. On a storage that knows what it has read already (`KeepsHistory`, such as
`tlsearch.optuna_ext.storage.BatchedStorage`) the database is asked for news only, or not at all.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Generic, Literal, Protocol, TypeVar, runtime_checkable
from weakref import WeakKeyDictionary

from optuna.distributions import BaseDistribution
from optuna.storages import BaseStorage
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

FINISHED = (TrialState.COMPLETE, TrialState.PRUNED)
OPEN = (TrialState.RUNNING, TrialState.WAITING)


class Accumulator(Protocol):
    """Takes in every complete or pruned trial of a study, once each and in any order."""

    def add(self, trial: FrozenTrial) -> None:
        """Take in one more trial."""


@runtime_checkable
class KeepsHistory(Protocol):
    """A storage that knows which trials it has read."""

    def finished_trials(self, study_id: int, max_age_seconds: float = 0.0) -> list[FrozenTrial]:
        """Return all finished trials, read at most so long ago; the list grows at its end."""

    def open_trials(self, study_id: int) -> list[FrozenTrial]:
        """Return queued and running trials as they were read last."""


D = TypeVar("D", bound=Accumulator)


@dataclass
class _Kept(Generic[D]):
    """A digest, and which trials are in it."""

    digest: D
    n_read: int = 0
    numbers: set[int] = field(default_factory=set)


_kept: "WeakKeyDictionary[BaseStorage, dict[Any, _Kept[Any]]]" = WeakKeyDictionary()
_lock = threading.RLock()


@contextmanager
def accumulated(
    kind: Callable[[Study], D],
    study: Study,
    max_age_seconds: float = 0.0,
    by: Literal["_get_trials", "get_trials"] = "_get_trials",
) -> Iterator[D]:
    """Hold the digest of a study's complete and pruned trials, which no thread changes meanwhile.

    Args:
        kind: the digest's class, which takes the study.
        study: the study, or a view of it that shows some of its trials only, as Hyperband's.
        max_age_seconds: how long ago the storage may have been read, if it keeps a history.
        by: how a view is asked for the trials it shows.
    """
    if getattr(type(study), by) is not getattr(Study, by):
        fresh = kind(study)
        for trial in getattr(study, by)(deepcopy=False, states=FINISHED):
            fresh.add(trial)
        yield fresh
        return
    with _lock:
        digests = _kept.setdefault(study._storage, {})
        key = (study._study_id, kind)
        if key not in digests:
            digests[key] = _Kept(kind(study))
        for trial in _news(digests[key], study, max_age_seconds):
            digests[key].digest.add(trial)
        yield digests[key].digest


def open_trials(study: Study) -> list[FrozenTrial]:
    """Return a study's queued and running trials."""
    if isinstance(study._storage, KeepsHistory):
        return study._storage.open_trials(study._study_id)
    return study._get_trials(deepcopy=False, states=OPEN)


def _news(kept: _Kept[Any], study: Study, max_age_seconds: float) -> list[FrozenTrial]:
    """Return the trials that are not in a digest yet, and note that they are."""
    storage = study._storage
    if isinstance(storage, KeepsHistory):
        finished = storage.finished_trials(study._study_id, max_age_seconds)
        found = [trial for trial in finished[kept.n_read :] if trial.state in FINISHED]
        kept.n_read = len(finished)
        return found
    trials = study._get_trials(deepcopy=False, states=FINISHED)
    found = [trial for trial in trials if trial.number not in kept.numbers]
    kept.numbers.update(trial.number for trial in found)
    return found


class FinishedSpace:
    """The parameters that all trials have, with one and the same distribution in all.

    The same as `optuna.search_space.IntersectionSearchSpace(include_pruned=True)`.
    """

    states: tuple[TrialState, ...] = FINISHED

    def __init__(self, study: Study) -> None:
        del study
        self._distributions: dict[str, BaseDistribution] | None = None

    def add(self, trial: FrozenTrial) -> None:
        """See `Accumulator`."""
        if trial.state not in self.states:
            return
        theirs = trial.distributions
        if self._distributions is None:
            self._distributions = dict(theirs)
            return
        for name, known in list(self._distributions.items()):
            other = theirs.get(name)
            if other is not known and other != known:
                del self._distributions[name]

    def to_search(self) -> dict[str, BaseDistribution]:
        """Return them by name, in order, without those of a single value."""
        found = self._distributions or {}
        return {name: found[name] for name in sorted(found) if not found[name].single()}


class CompleteSpace(FinishedSpace):
    """The same of complete trials alone, as `IntersectionSearchSpace()` has it."""

    states = (TrialState.COMPLETE,)
