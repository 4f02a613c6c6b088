"""`tlsearch worker --gpus ...` and `--processes ...`: several workers on this machine."""

import os
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import quote

from tlsearch.cli.display import console, print_json
from tlsearch.cli.slots_display import SlotsDisplay
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
class SlotOptions:
    """The options that say how many workers run, and on which devices.

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
    def wanted(self) -> bool:
        """Whether the launcher is wanted, not one worker in this process."""
        return any(given is not None for given in (self.gpus, self.per_gpu, self.processes))

    def slots(self) -> tuple[Slot, ...]:
        """Return a slot a process.

        Raises:
            InputError: the options contradict one another, or name GPUs that are not there.
        """
        self._check()
        if self.gpus is None:
            device = "cpu" if self.device == "auto" else self.device
            return process_slots(self.processes or 1, device)
        choose_gpus(self.gpus)  # a wrong text is found before GPUs are counted, which takes seconds
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


def run_several(slots: Sequence[Slot], command: WorkerCommand, as_json: bool) -> int:
    """Run a worker in each slot and return the exit code.

    Raises:
        InputError: a study does not exist, or the database cannot be reached.
    """
    _check_studies(command)
    secrets = _passwords(command)
    with SlotsDisplay(slots, quiet=as_json) as display:
        launcher = Launcher(slots, command, command.environment(), display, secrets=secrets)
        summaries = launcher.run()
    if as_json:
        print_json([_as_json(summary) for summary in summaries])
    else:
        console.print(_summary_line(command.studies, summaries))
    return launcher.exit_code(summaries)


def threads_of_each(slots: Sequence[Slot], threads: int | None) -> int:
    """Return the CPU threads of each worker: as given, or its share of the cores."""
    return threads or threads_each(len(slots))


def _check_studies(command: WorkerCommand) -> None:
    """Raise what every worker would raise: it is told once."""
    from tlsearch.studies.read import StudyReader

    for study in command.studies:
        StudyReader(study, command.storage)


def _passwords(command: WorkerCommand) -> list[str]:
    """Return what must never be shown: the database's password, plain and as in a URL."""
    from tlsearch.store.connect import resolve_url

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


def _summary_line(studies: Sequence[str], summaries: Sequence[SlotSummary]) -> str:
    total = sum(summary.trials_ended for summary in summaries)
    restarts = sum(summary.restarts for summary in summaries)
    n_done = sum(summary.ending is Ending.DONE for summary in summaries)
    line = f"trials run: {total} in {len(summaries)} slots"
    if restarts:
        line += f"; restarts after crashes: {restarts}"
    if n_done < len(summaries):
        line += f"; {len(summaries) - n_done} of {len(summaries)} slots ended early"
    hints = ", ".join(f"tlsearch best {shlex.quote(study)}" for study in studies)
    return f"{line} ({hints})"
