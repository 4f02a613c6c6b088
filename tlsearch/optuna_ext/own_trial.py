"""A running trial of this process: its copy in memory, and what is yet to be written of it."""

import copy
import json
from dataclasses import dataclass
from typing import Any

from optuna.distributions import BaseDistribution
from optuna.trial import FrozenTrial

from tlsearch.optuna_ext.pending import Pending


@dataclass
class OwnTrial:
    """Each value that is set goes both into the copy and into what is pending.

    Attributes:
        study_id: Optuna's key of the trial's study.
        frozen: the trial as this process knows it.
        pending: what is yet to be written; None where that is nothing.
    """

    study_id: int
    frozen: FrozenTrial
    pending: Pending | None = None

    def set_param(self, name: str, internal: float, distribution: BaseDistribution) -> None:
        """Set a parameter, given in Optuna's internal representation."""
        self._to_write().params[name] = (internal, distribution)
        value = distribution.to_external_repr(internal)
        self.frozen.params = {**self.frozen.params, name: value}
        self.frozen.distributions = {**self.frozen.distributions, name: distribution}

    def set_user_attr(self, key: str, value: Any) -> None:
        """Set a user attribute; TypeError where JSON does not know the value."""
        value = _as_read(value)
        self._to_write().user_attrs[key] = value
        self.frozen.user_attrs = {**self.frozen.user_attrs, key: value}

    def set_system_attr(self, key: str, value: Any) -> None:
        """Set a system attribute; TypeError where JSON does not know the value."""
        value = _as_read(value)
        self._to_write().system_attrs[key] = value
        self.frozen.system_attrs = {**self.frozen.system_attrs, key: value}

    def report(self, step: int, value: float) -> Pending:
        """Set the value of a step, and return what is pending by now."""
        pending = self._to_write()
        pending.intermediate_values[step] = value
        self.frozen.intermediate_values[step] = value
        return pending

    def snapshot(self) -> FrozenTrial:
        """Return the trial as it stands now; later values do not appear in it.

        Optuna's pruner of successive halving counts on that: it sets a value of its own trial and
        adds that value to those of the trials that it read before.
        """
        trial = copy.copy(self.frozen)  # its attributes and parameters are replaced, never changed
        trial.intermediate_values = self.frozen.intermediate_values.copy()
        return trial

    def replaces(self, read: FrozenTrial) -> bool:
        """Return whether a trial from the database is this one, and no other process ended it."""
        return read._trial_id == self.frozen._trial_id and not read.state.is_finished()

    def _to_write(self) -> Pending:
        if self.pending is None:
            self.pending = Pending()
        return self.pending


def _as_read(value: Any) -> Any:
    """Return a copy of a value as it will be read from the database."""
    return json.loads(json.dumps(value))
