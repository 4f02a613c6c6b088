"""A worker on a tiny real network and real images, its server in memory."""

from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import torch

from tests.parity.conftest import stand_in
from tests.unit.worker.memory import MemoryClaims, MemoryServer, MemoryTrials
from tlsearch.artifacts import ArtifactFolder
from tlsearch.backbones import Backbone
from tlsearch.data import load_catalog, load_training_data
from tlsearch.finetune import FineTuneData
from tlsearch.records import EpochReport, Hyperparameters, TrialRecord
from tlsearch.space import SearchSpace, resolve
from tlsearch.spec import DataSpec, SpaceSpec, StudySpec, parse_spec
from tlsearch.store.claims import Claim
from tlsearch.store.outages import RetryPolicy
from tlsearch.store.stored_study import Provenance, StoredStudy, StudyBackbone, StudyData
from tlsearch.worker.context import WorkerContext
from tlsearch.worker.materials import TrainingMaterials
from tlsearch.worker.progress import SilentProgress
from tlsearch.worker.signals import StopSignals
from tlsearch.worker.trial_runner import TrialRunner

NETWORK = "test_efficientnet"
EPOCHS = 4
PLAIN = Hyperparameters(
    reinit_layers=1,
    high_lr=0.01,
    low_lr_ratio=1.0,
    low_layers=0,
    alpha=0.0,
    beta=1e-4,
    l2sp_layers=0,
)
SPEC = {
    "name": "memory",
    "data": {"path": "builtin:fashion-mnist-30", "train_per_class": 4, "val_per_class": 2},
    "backbone": {"model": NETWORK},
    "recipe": {"image_size": 32, "epochs": EPOCHS, "batch_size": 20, "eval_crop": 1.0},
    "measures": {"when": "off"},
    "sampler": {"name": "tpe"},
    "workers": {"heartbeat_seconds": 1, "stalled_after_seconds": 30},
}


class Told(SilentProgress):
    """Keeps what it is told.

    Attributes:
        on_epoch: called at the end of each epoch, with its number; may raise.
    """

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.epochs: list[int] = []
        self.ended_trials: list[TrialRecord] = []
        self.on_epoch = lambda epoch: None

    def preparing(self, what: str) -> None:
        self.lines.append(what)

    def epoch(self, number: int, report: EpochReport) -> None:
        self.epochs.append(report.epoch)
        self.on_epoch(report.epoch)

    def ended(self, trial: TrialRecord) -> None:
        self.ended_trials.append(trial)


class Heartbeats:
    """Stands for the worker's row in the list of workers."""

    name = "host:1:cpu"
    worker_id = "00000000-0000-0000-0000-000000000000"

    def __init__(self) -> None:
        self.n = 0

    def heartbeat(self) -> None:
        self.n += 1


def spec_of(**tables: dict[str, Any]) -> StudySpec:
    """The spec, with some keys of its tables changed."""
    changed = {
        name: {**cast(dict[str, Any], SPEC.get(name, {})), **t} for name, t in tables.items()
    }
    return parse_spec({**SPEC, **changed})


def study_of(spec: StudySpec, space: SearchSpace) -> StoredStudy:
    """The study of a spec; nothing but its images is real."""
    catalog = load_catalog(spec.data)
    return StoredStudy(
        study_id=1,
        name=spec.name,
        spec=spec,
        spec_hash="0" * 64,
        space=space,
        data=StudyData(tuple("0123456789"), catalog.fingerprint, 40, 20, 0),
        backbone=StudyBackbone(("stem", "classifier"), "0" * 64),
        provenance=Provenance({}, None),
    )


@pytest.fixture(scope="session")
def backbone() -> Backbone:
    return stand_in(NETWORK, 32)


@pytest.fixture(scope="session")
def materials(backbone: Backbone) -> TrainingMaterials:
    data_spec = spec_of().data
    catalog = load_catalog(DataSpec(**data_spec.model_dump()))
    images = FineTuneData.on_device(load_training_data(catalog, 32, 1.0), torch.device("cpu"))
    return TrainingMaterials(data_spec, images, backbone)


@dataclass
class World:
    """A worker and its server."""

    context: WorkerContext
    server: MemoryServer
    claims: MemoryClaims
    trials: MemoryTrials
    told: Told
    signals: StopSignals
    files: Path
    materials: TrainingMaterials
    ended: list[TrialRecord] = field(default_factory=list)

    @property
    def runner(self) -> TrialRunner:
        return TrialRunner(self.context, self.materials, self.trials)

    def run(self) -> TrialRecord | None:
        """Claim the next trial and run it."""
        runner = self.runner
        claim = runner.claim()
        assert isinstance(claim, Claim), claim
        return runner.run(claim, self.ended.append)

    def file_names(self) -> set[str]:
        return {path.name for path in self.files.iterdir()}


@pytest.fixture
def world(tmp_path: Path, materials: TrainingMaterials, request: pytest.FixtureRequest) -> World:
    """A worker on a study in memory; parametrize it with tables of the spec."""
    spec = spec_of(**getattr(request, "param", {}))
    server = MemoryServer(spec.workers.max_attempts)
    claims, trials, told, signals = (
        MemoryClaims(server),
        MemoryTrials(server),
        Told(),
        StopSignals(),
    )
    study = study_of(spec, resolve(SpaceSpec(), materials.backbone.layers.n_body))
    files = tmp_path / "artifacts"
    context = WorkerContext(
        study=study,
        database=cast(Any, SimpleNamespace()),
        registration=cast(Any, Heartbeats()),
        claims=claims,
        artifacts=ArtifactFolder(files),
        device=torch.device("cpu"),
        retry=RetryPolicy(5.0),
        signals=signals,
        progress=told,
    )
    return World(context, server, claims, trials, told, signals, files, materials)
