"""The results: a line of JSON a study, in results/TARGET.jsonl; the first line is of the images."""

import os
import platform
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from optuna.storages import RDBStorage

from bench.accuracy.places import present_tree
from bench.accuracy.run import Line, lines, replace
from tlsearch.records import TrialRecord
from tlsearch.store.measures import read_measures
from tlsearch.store.stored_study import StoredStudy
from tlsearch.store.trials import trial_records

from .units import Unit

RESULTS = Path(__file__).resolve().parent / "results"


def described(unit: Unit, database: RDBStorage, study: StoredStudy, complete: bool) -> Line:
    """Return what is kept of a study: its trials, and its measures."""
    measures = read_measures(database, study.study_id)
    records = trial_records(database, study.study_id)
    recipe = study.spec.recipe
    return {
        "experiment": unit.experiment,
        "run": unit.run,
        "complete": complete,
        "study": study.name,
        "seed": recipe.seed,
        "image_size": recipe.image_size,
        "epochs": recipe.epochs,
        "n_val": study.data.n_val,
        "planned": study.spec.budget.trials,
        "trials": [_plain(each) for each in records if _ended(each)],
        "measures": None if measures is None else measures.as_dict(),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, 1 thread",
        "commit": present_tree().commit,
    }


def _ended(trial: TrialRecord) -> bool:
    return trial.state in ("complete", "pruned", "fail")


def _plain(trial: TrialRecord) -> Line:
    return {
        "number": trial.number,
        "state": trial.state,
        "origin": trial.origin,
        "params": trial.params.as_dict() if trial.params else None,
        "val_accuracy": trial.val_accuracy,
        "seconds": trial.seconds,
        "duplicate_of": trial.duplicate_of,
        "reason": trial.reason,
    }


def kept(folder: Path, unit: Unit) -> Line | None:
    """Return the line of a unit; None where there is none."""
    for line in lines(folder, unit.target)[1:]:
        if _key(line) == (unit.experiment, unit.run):
            return line
    return None


def keep(folder: Path, target: str, line: Line) -> None:
    """Put a line in the place of an earlier one of the same unit, or at the end."""
    head, *others = lines(folder, target)
    replace(folder, target, [head, *(each for each in others if _key(each) != _key(line)), line])


def of_experiment(found: Sequence[Line], experiment: str) -> list[Line]:
    """Return the complete lines of an experiment, by run; without its ensemble."""
    of_it = [line for line in found if line.get("experiment") == experiment and line["complete"]]
    return sorted((line for line in of_it if isinstance(line["run"], int)), key=_run)


def _run(line: Line) -> int:
    return int(line["run"])


def _key(line: Line) -> tuple[Any, Any]:
    return line["experiment"], line["run"]
