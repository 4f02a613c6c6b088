"""What a worker needs to work on one study, in one frozen record."""

from dataclasses import dataclass, replace

import torch
from optuna.storages import RDBStorage

from tlsearch.artifacts import Artifacts
from tlsearch.errors import InputError
from tlsearch.store.claims import Claims, TrialClaims
from tlsearch.store.outages import RetryPolicy
from tlsearch.store.stored_study import StoredStudy
from tlsearch.store.worker_registration import WorkerRegistration
from tlsearch.worker.progress import Progress
from tlsearch.worker.signals import StopSignals


@dataclass(frozen=True)
class WorkerContext:
    """What a worker needs to work on one study.

    Attributes:
        study: the study, as it was when the worker started.
        database: Optuna's storage.
        registration: this process in the database's list of workers.
        claims: where trials of the study are claimed and ended.
        artifacts: where checkpoints and models are kept.
        device: where to train.
        retry: how calls of the database are repeated while it is out of reach.
        signals: whether the worker was asked to stop.
        progress: told what happens.
        data_path: where the data are on this machine, if not where the spec says.
        weights: where the weights are on this machine, likewise.
    """

    study: StoredStudy
    database: RDBStorage
    registration: WorkerRegistration
    claims: TrialClaims
    artifacts: Artifacts
    device: torch.device
    retry: RetryPolicy
    signals: StopSignals
    progress: Progress
    data_path: str | None = None
    weights: str | None = None

    def for_study(self, study: StoredStudy, progress: Progress) -> "WorkerContext":
        """Return the same for another study of the family."""
        claims = Claims(self.database.engine, study, self.registration.worker_id)
        return replace(self, study=study, claims=claims, progress=progress)


def retry_policy(study: StoredStudy, signals: StopSignals, progress: Progress) -> RetryPolicy:
    """Return how a worker repeats calls of the database: until the study's limit, or a signal."""
    return RetryPolicy(
        study.spec.workers.outage_limit_seconds,
        signals.requested,
        lambda _, why: progress.preparing(f"waiting for the database ({why})"),
    )


def choose_device(name: str) -> torch.device:
    """Return the device that `auto`, `cpu`, `cuda` or `cuda:N` names.

    Raises:
        InputError: no such device on this machine.
    """
    if name == "auto":
        return torch.device("cuda", 0) if torch.cuda.is_available() else torch.device("cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        device = None
    if device is None or device.type not in ("cpu", "cuda"):
        raise InputError(f"--device {name}: is no device; use auto, cpu, cuda or cuda:N")
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        n_gpus = torch.cuda.device_count()
        raise InputError(f"--device {name}: this machine has {n_gpus} CUDA devices; use auto")
    return device


def device_name(device: torch.device) -> str:
    """Return what a device is called: `NVIDIA H100 80GB HBM3`; empty for a CPU."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else ""
