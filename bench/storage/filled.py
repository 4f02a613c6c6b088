"""Databases with a study of N finished trials of seven hyperparameters and 50 epochs each."""

import io
import json
import math
import uuid
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

import numpy as np
import sqlalchemy as sa
from optuna.distributions import FloatDistribution, IntDistribution, distribution_to_json
from optuna.storages import RDBStorage
from server import Server

from tlsearch.records import Belief, Hyperparameters, Prior
from tlsearch.space import SearchSpace, resolve
from tlsearch.spec import BudgetSpec, SpaceSpec, parse_spec
from tlsearch.store.connect import open_storage
from tlsearch.store.stored_study import PRIOR, Provenance, StudyBackbone, StudyData, to_attrs
from tlsearch.store.studies import NewStudy, write_studies

STUDY = "bench"
EPOCHS = 50
SPACE = resolve(SpaceSpec(), 17)
_PRUNED_AT = 40  # every tenth trial
_SPEC = {
    "name": STUDY,
    "data": {"path": "x"},
    "backbone": {"model": "resnet18"},
    "recipe": {"epochs": EPOCHS},
    "measures": {"when": "off"},
}
Row = Sequence[object]


def fill(server: Server, n_trials: int) -> str:
    """Make a database with a study of `n_trials` finished trials and return its name."""
    name = f"filled_{n_trials}"
    server.execute(f"CREATE DATABASE {name}")
    storage = open_storage(server.url(name))
    study_id = _create_study(storage)
    with storage.engine.begin() as connection:
        for table, rows in _tables(study_id, n_trials).items():
            _copy(connection, table, rows)
        connection.execute(
            sa.text("SELECT setval('trials_trial_id_seq', :last)"), {"last": max(n_trials, 1)}
        )
    storage.engine.dispose()
    server.execute("VACUUM ANALYZE", name)
    return name


def copy_of(server: Server, filled: str, name: str) -> str:
    """Make a fresh copy of a filled database and return its name."""
    server.execute(f"CREATE DATABASE {name} TEMPLATE {filled}")
    return name


def curve(params: dict[str, float], number: int) -> list[float]:
    """Return the validation accuracies of a simulated fine-tune, epoch by epoch."""
    final = accuracy(params) + 0.005 * float(np.random.default_rng(number).normal())
    speed = 6.0 + 4.0 * abs(math.log10(params["high_lr"]) + 1.8)
    return [final * (1 - math.exp(-epoch / speed)) for epoch in range(1, EPOCHS + 1)]


def accuracy(params: dict[str, float]) -> float:
    """Return what a simulated fine-tune reaches: one hill, narrow in some of its directions."""
    x = unit(params)
    hill = {
        "reinit_layers": (0.3, 0.1),
        "high_lr": (0.6, 1.0),
        "low_lr_ratio": (0.4, 0.5),
        "low_layers": (0.5, 0.3),
        "alpha": (0.7, 0.2),
        "beta": (0.5, 0.2),
        "l2sp_layers": (0.8, 0.2),
    }
    return 0.9 - 0.3 * sum(weight * (x[name] - at) ** 2 for name, (at, weight) in hill.items())


def unit(params: dict[str, float]) -> dict[str, float]:
    """Return where in its range each hyperparameter lies, from 0 to 1."""
    found = {}
    for name, d in SPACE.distributions().items():
        low, value, high = (math.log(v) if d.log else v for v in (d.low, params[name], d.high))
        found[name] = (value - low) / (high - low)
    return found


def _create_study(storage: RDBStorage) -> int:
    data = StudyData(("a", "b"), fingerprint="", n_train=300, n_val=200, n_test=1000)
    backbone = StudyBackbone((), weights_sha256="")
    provenance = Provenance({}, git_commit=None)
    attrs = to_attrs(parse_spec(_SPEC), SPACE, data, backbone, provenance)
    attrs[PRIOR] = _prior().as_dict()
    write_studies(storage, [NewStudy(STUDY, attrs, (), BudgetSpec(trials=10**8))])
    return int(storage.get_study_id_from_name(STUDY))


def _prior() -> Prior:
    """Return a prior whose modes are near the best values."""
    modes = {
        "reinit_layers": (2, 1.0),
        "high_lr": (0.02, 0.4),
        "low_lr_ratio": (0.3, 0.3),
        "low_layers": (8, 3.0),
        "alpha": (0.01, 0.7),
        "beta": (3e-4, 0.7),
        "l2sp_layers": (12, 4.0),
    }
    beliefs = {
        name: Belief(mode=mode, spread=spread, opposite=mode, rule="", moved_by="")
        for name, (mode, spread) in modes.items()
    }
    return Prior(unfit=0.5, disagreement=0.0, lr_scale=0.1, lr_scale_from="", beliefs=beliefs)


def _tables(study_id: int, n_trials: int) -> dict[str, list[Row]]:
    """Return the rows of each table, by `table (columns)`."""
    start = datetime(2026, 1, 1)
    rows: dict[str, list[Row]] = {name: [] for name in _COLUMNS.values()}
    generator = np.random.default_rng(1)
    texts = {name: distribution_to_json(d) for name, d in SPACE.distributions().items()}
    for number in range(n_trials):
        trial_id, at = number + 1, start + timedelta(seconds=number)
        params = _drawn(generator, SPACE)
        epochs = curve(params, number)[: _PRUNED_AT if number % 10 == 9 else EPOCHS]
        ended = "complete" if len(epochs) == EPOCHS else "pruned"
        worker, token = str(uuid.UUID(int=1)), str(uuid.UUID(int=number + 1))
        rows[_COLUMNS["trials"]].append(
            (trial_id, number, study_id, ended.upper(), at, at + timedelta(seconds=60))
        )
        rows[_COLUMNS["params"]] += [(trial_id, k, v, texts[k]) for k, v in params.items()]
        rows[_COLUMNS["values"]].append((trial_id, 0, epochs[-1], "FINITE"))
        rows[_COLUMNS["curve"]] += [(trial_id, e, v, "FINITE") for e, v in enumerate(epochs, 1)]
        rows[_COLUMNS["user"]] += [(trial_id, k, v) for k, v in _user_attrs(params).items()]
        component = ("tpe", "uniform", "prior")[number % 10 % 3]
        rows[_COLUMNS["system"]] += [
            (trial_id, "earned_prior:component", json.dumps(component)),
            (trial_id, "tpe:relative_params:0", json.dumps(json.dumps(params))),
        ]
        attempt = (trial_id, 1, study_id, worker, token, at, at, at + timedelta(seconds=60))
        rows[_COLUMNS["attempts"]].append((*attempt, ended, len(epochs)))
    return rows


def _user_attrs(params: dict[str, float]) -> dict[str, str]:
    drawn = Hyperparameters.from_dict(params)
    attrs = {
        "origin": "tpe",
        "canonical": drawn.canonical(SPACE.n_body_layers).as_dict(),
        "low_lr": drawn.low_lr,
        "attempt": 1,
        "worker": "host:1:cpu",
        "seconds": 30.0,
    }
    return {key: json.dumps(value) for key, value in attrs.items()}


def _drawn(generator: np.random.Generator, space: SearchSpace) -> dict[str, float]:
    return {name: _draw(generator, d) for name, d in space.distributions().items()}


def _draw(generator: np.random.Generator, d: FloatDistribution | IntDistribution) -> float:
    if isinstance(d, IntDistribution):
        return int(generator.integers(d.low, d.high + 1))
    low, high = (math.log(v) if d.log else v for v in (d.low, d.high))
    value = generator.uniform(low, high)
    return float(min(max(math.exp(value) if d.log else value, d.low), d.high))


def _copy(connection: sa.Connection, table: str, rows: Iterable[Row]) -> None:
    text = "".join("\t".join(map(_field, row)) + "\n" for row in rows)
    cursor = connection.connection.cursor()
    cursor.copy_expert(f"COPY {table} FROM STDIN", io.StringIO(text))


def _field(value: object) -> str:
    return str(value).replace("\\", "\\\\").replace("\t", "\\t").replace("\n", "\\n")


_COLUMNS = {
    "trials": "trials (trial_id, number, study_id, state, datetime_start, datetime_complete)",
    "params": "trial_params (trial_id, param_name, param_value, distribution_json)",
    "values": "trial_values (trial_id, objective, value, value_type)",
    "curve": "trial_intermediate_values"
    " (trial_id, step, intermediate_value, intermediate_value_type)",
    "user": "trial_user_attributes (trial_id, key, value_json)",
    "system": "trial_system_attributes (trial_id, key, value_json)",
    "attempts": "tlsearch.attempts (trial_id, attempt, study_id, worker_id, token, started_at,"
    " last_seen_at, ended_at, ended, last_epoch)",
}
