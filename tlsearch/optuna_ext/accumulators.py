"""What samplers and pruners compute from a study's finished trials, kept up to date.

Optuna's own go through all trials at every call: at 10,000 trials that is most of what a trial
costs. An accumulator takes each finished trial once, for finished trials never change. It belongs
to the storage object and is shared by all samplers and pruners on it. What it holds follows from
the finished trials alone, whatever the order in which a process saw them.

On a storage that remembers what it has read (`KeepsHistory`, such as
`tlsearch.optuna_ext.storage.BatchedStorage`) the database is asked for new trials only, or not at
all.
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
    """Takes every complete or pruned trial of a study, once each and in any order."""

    def add(self, trial: FrozenTrial) -> None:
        """Take one more trial."""


@runtime_checkable
class KeepsHistory(Protocol):
    """A storage that remembers which trials it has read."""

    def finished_trials(self, study_id: int, max_age_seconds: float = 0.0) -> list[FrozenTrial]:
        """Return all finished trials, read at most so long ago; the list grows at its end."""

    def open_trials(self, study_id: int) -> list[FrozenTrial]:
        """Return queued and running trials as they were read last."""


A = TypeVar("A", bound=Accumulator)


@dataclass
class _Entry(Generic[A]):
    """An accumulator, and which trials it has: the first of a history, or those numbered so."""

    accumulator: A
    n_read: int = 0
    numbers: set[int] = field(default_factory=set)


_entries: "WeakKeyDictionary[BaseStorage, dict[Any, _Entry[Any]]]" = WeakKeyDictionary()
_lock = threading.RLock()


@contextmanager
def accumulated(
    kind: Callable[[Study], A],
    study: Study,
    max_age_seconds: float = 0.0,
    by: Literal["_get_trials", "get_trials"] = "_get_trials",
) -> Iterator[A]:
    """Hold the accumulator of a study's finished trials; no thread changes it within the block.

    Args:
        kind: the accumulator's class, which takes the study.
        study: the study, or a view that shows some of its trials only, as Hyperband's.
        max_age_seconds: how long ago the storage may have been read, if it keeps a history.
        by: the method that a view overrides to show its trials. A view that overrides it gets an
            accumulator of its own, made anew at each call.
    """
    if getattr(type(study), by) is not getattr(Study, by):
        fresh = kind(study)
        for trial in getattr(study, by)(deepcopy=False, states=FINISHED):
            fresh.add(trial)
        yield fresh
        return
    with _lock:
        entries = _entries.setdefault(study._storage, {})
        key = (study._study_id, study.study_name, kind)
        if key not in entries:
            entries[key] = _Entry(kind(study))
        entry = entries[key]
        for trial in _new_trials(entry, study, max_age_seconds):
            entry.accumulator.add(trial)
        yield entry.accumulator


def open_trials(study: Study) -> list[FrozenTrial]:
    """Return a study's queued and running trials."""
    if isinstance(study._storage, KeepsHistory):
        return study._storage.open_trials(study._study_id)
    return study._get_trials(deepcopy=False, states=OPEN)


def _new_trials(entry: _Entry[Any], study: Study, max_age_seconds: float) -> list[FrozenTrial]:
    """Return the trials that an accumulator does not have yet, and note that it has them."""
    storage = study._storage
    if isinstance(storage, KeepsHistory):
        finished = storage.finished_trials(study._study_id, max_age_seconds)
        start, entry.n_read = entry.n_read, len(finished)  # another thread may append meanwhile
        return [trial for trial in finished[start : entry.n_read] if trial.state in FINISHED]
    trials = study._get_trials(deepcopy=False, states=FINISHED)
    new = [trial for trial in trials if trial.number not in entry.numbers]
    entry.numbers.update(trial.number for trial in new)
    return new


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
        of_trial = trial.distributions
        if self._distributions is None:
            self._distributions = dict(of_trial)
            return
        for name, known in list(self._distributions.items()):
            other = of_trial.get(name)
            if other is not known and other != known:
                del self._distributions[name]

    def to_search(self) -> dict[str, BaseDistribution]:
        """Return them by name, in order, without those of a single value."""
        found = self._distributions or {}
        return {name: found[name] for name in sorted(found) if not found[name].single()}


class CompleteSpace(FinishedSpace):
    """The same of complete trials alone, as `IntersectionSearchSpace()` has it."""

    states = (TrialState.COMPLETE,)
