"""Runs several workers on one machine, each in a process of its own, and keeps them running.

Nothing here imports torch: the launcher stays small beside the workers, and uses no GPU.
"""

from tlsearch.launcher.command import WorkerCommand
from tlsearch.launcher.launch import Launcher
from tlsearch.launcher.listener import Listener
from tlsearch.launcher.restarts import RestartPolicy
from tlsearch.launcher.slots import (
    Slot,
    choose_gpus,
    count_gpus,
    gpu_slots,
    process_slots,
    threads_each,
)
from tlsearch.launcher.state import Ending, SlotSummary

__all__ = [
    "Ending",
    "Launcher",
    "Listener",
    "RestartPolicy",
    "Slot",
    "SlotSummary",
    "WorkerCommand",
    "choose_gpus",
    "count_gpus",
    "gpu_slots",
    "process_slots",
    "threads_each",
]
