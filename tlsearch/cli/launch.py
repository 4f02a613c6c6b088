"""`tlsearch worker --gpus ...` and `--processes ...`: several workers on this machine."""

import os
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import quote

from tlsearch.cli.display import console, print_json
from tlsearch.cli.slots import SlotsDisplay
from tlsearch.errors import InputError
from tlsearch.launcher import (
    Ending,
    Launcher,
    Slot,
    SlotSummary,
    WorkerCommand,
    choose_gpus,
    count_gpus,
    gpu_slots,
    process_slots,
    threads_each,
)


@dataclass(frozen=True)
class Places:
    """Where to run workers, as it was asked for.

    Attributes:
        gpus: `all`, or numbers with commas between them.
        per_gpu: processes on each of them.
        processes: processes on one device, instead.
        device: that device.
    """

    gpus: str | None
    per_gpu: int | None
    processes: int | None
    device: str

    @property
    def several(self) -> bool:
        """Whether anything but one worker in this process was asked for."""
        return any(given is not None for given in (self.gpus, self.per_gpu, self.processes))

    def slots(self) -> tuple[Slot, ...]:
        """Return a slot a process.

        Raises:
            InputError: what was asked for does not go together, or is not there.
        """
        self._check()
        if self.gpus is None:
            device = "cpu" if self.device == "auto" else self.device
            return process_slots(self.processes or 1, device)
        choose_gpus(self.gpus)  # nonsense is found before GPUs are counted, which takes seconds
        return gpu_slots(choose_gpus(self.gpus, count_gpus()), self.per_gpu or 1)

    def _check(self) -> None:
        if self.gpus is None and self.processes is None:
            raise InputError("--per-gpu: says how many processes on each GPU; give --gpus as well")
        if self.processes is not None:
            for name, given in (("--gpus", self.gpus), ("--per-gpu", self.per_gpu)):
                if given is not None:
                    raise InputError(
                        f"{name} and --processes: give one of them; --gpus is for workers on GPUs, "
                        "--processes for several on the CPU, or on --device"
                    )
        if self.gpus is not None and self.device != "auto":
            raise InputError("--gpus and --device: give one of them; --gpus names the devices")


def launch(slots: Sequence[Slot], command: WorkerCommand, as_json: bool) -> int:
    """Run the workers and return the exit code.

    Raises:
        InputError: a study does not exist, or the database cannot be reached.
    """
    secrets = _look(command)
    with SlotsDisplay(slots, quiet=as_json) as display:
        launcher = Launcher(slots, command, command.environment(), display, secrets=secrets)
        summaries = launcher.run()
    if as_json:
        print_json([_as_json(summary) for summary in summaries])
    else:
        _conclude(command.studies, summaries)
    return launcher.exit_code(summaries)


def share_of_threads(slots: Sequence[Slot], threads: int | None) -> int:
    """Return the CPU threads of each worker."""
    return threads or threads_each(len(slots))


def _look(command: WorkerCommand) -> list[str]:
    """Find mistakes that all workers would find, and return what must not be shown."""
    from tlsearch.store.connect import resolve_url
    from tlsearch.studies.read import StudyReader

    for study in command.studies:
        StudyReader(study, command.storage)
    password = resolve_url(command.storage).password or os.environ.get("PGPASSWORD")
    return [str(password), quote(str(password), safe="")] if password else []


def _as_json(summary: SlotSummary) -> dict[str, object]:
    return {
        "slot": summary.slot.name,
        "device": summary.slot.device,
        "trials_ended": summary.trials_ended,
        "restarts": summary.restarts,
        "exit_code": summary.exit_code,
        "ending": summary.ending.value,
    }


def _conclude(studies: Sequence[str], summaries: Sequence[SlotSummary]) -> None:
    total = sum(summary.trials_ended for summary in summaries)
    restarts = sum(summary.restarts for summary in summaries)
    again = f"; restarts after crashes: {restarts}" if restarts else ""
    n_done = sum(summary.ending is Ending.DONE for summary in summaries)
    if n_done < len(summaries):
        again += f"; {len(summaries) - n_done} of {len(summaries)} slots ended early"
    hints = ", ".join(f"tlsearch best {shlex.quote(study)}" for study in studies)
    console.print(f"trials run: {total} in {len(summaries)} slots{again} ({hints})")
