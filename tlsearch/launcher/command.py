"""The command line and the environment of a slot's worker."""

import os
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from tlsearch.launcher.slots import Slot
from tlsearch.threads import with_short_spin


@dataclass(frozen=True)
class WorkerCommand:
    """Makes the command line of `tlsearch worker` for a slot.

    Attributes:
        studies: names of the studies to run trials of.
        threads: CPU threads of each worker.
        storage: database URL; it goes into the environment, because process lists show arguments.
        max_trials: trials each slot may end.
        timeout_seconds: start no trial after so many seconds.
        data_path: the images on this machine.
        weights: the weights on this machine.
        log_level: least severe log records that the workers write.
        log_json: whether they write them as JSON.
    """

    studies: Sequence[str]
    threads: int
    storage: str | None = None
    max_trials: int | None = None
    timeout_seconds: float | None = None
    data_path: str | None = None
    weights: str | None = None
    log_level: str = "warning"
    log_json: bool = False
    _started_at: float = field(default_factory=time.monotonic, init=False)

    def __call__(self, slot: Slot, trials_ended: int) -> list[str] | None:
        """Return the command line, or None if the slot has reached its limit.

        Args:
            slot: where it will run.
            trials_ended: by workers that ran in this slot before.
        """
        options: dict[str, object] = {"device": slot.device, "threads": self.threads}
        if self.max_trials is not None:
            if trials_ended >= self.max_trials:
                return None
            options["trials"] = self.max_trials - trials_ended
        if self.timeout_seconds is not None:
            spent = time.monotonic() - self._started_at
            options["timeout"] = max(0.0, self.timeout_seconds - spent)
        options |= {"data": self.data_path, "weights": self.weights, "log-level": self.log_level}
        given = [f"--{name}={value}" for name, value in options.items() if value is not None]
        given += ["--log-json"] if self.log_json else []
        program = [sys.executable, "-m", "tlsearch", "worker", "--json-progress"]
        return [*program, *given, "--", *self.studies]

    def environment(self) -> Mapping[str, str]:
        """Return the environment the workers get."""
        storage = {"TLSEARCH_STORAGE": self.storage} if self.storage else {}
        threads = {"OMP_NUM_THREADS": str(self.threads)}
        return with_short_spin(os.environ | storage | threads)
