"""Runs one unit: an arm on a set of images under a seed.

    python -m bench.accuracy.unit TARGET ARM SEED --out FILE [--trials 16] [--epochs 10]

Writes one JSON object to FILE.
"""

import argparse
import importlib.metadata
import json
import os
import platform
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from . import arm_default, arm_fastai, arm_probe, arm_search, arm_timm
from .answers import Answer, Clock, Outcome, Settings, Unit, accuracy
from .places import EARLIER, cache, end_children_on_sigterm, present_tree
from .targets import TARGETS, Prepared

ARMS: dict[str, Callable[[Unit], Outcome]] = {
    "probe": arm_probe.run,
    "default": arm_default.run,
    "timm_adamw": arm_timm.run,
    "fastai": arm_fastai.run,
    "tlsearch_0_1": arm_search.run_earlier,
    "tlsearch": arm_search.run_present,
}
DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"  # of a prediction, one class each
_VERSIONED = ("torch", "timm", "optuna", "scikit-learn", "numpy", "pillow")


def main() -> None:
    """Read the command line, run the unit and write what it found."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("target", choices=TARGETS)
    parser.add_argument("arm", choices=ARMS)
    parser.add_argument("seed", type=int)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--trials", type=int, default=Settings.trials)
    parser.add_argument("--epochs", type=int, default=Settings.epochs)
    given = parser.parse_args()
    end_children_on_sigterm()
    settings = Settings(trials=given.trials, epochs=given.epochs)
    found = run(given.target, given.arm, given.seed, settings)
    given.out.write_text(json.dumps(found) + "\n")


def run(target: str, arm: str, seed: int, settings: Settings) -> dict[str, Any]:
    """Run a unit and return its line of results.

    Raises:
        Absent: something that it needs is not here.
    """
    torch.set_num_threads(1)
    prepared = TARGETS[target].prepared()
    folder = cache() / "units" / f"{target}-{arm}-{seed}-{settings.trials}-{settings.epochs}"
    resumed = folder.exists()
    folder.mkdir(parents=True, exist_ok=True)
    unit = Unit(prepared, seed, settings, Clock(), folder)
    outcome = ARMS[arm](unit)
    line = {"target": target, "arm": arm, "seed": seed, **_answered(outcome.answer, prepared)}
    line |= {
        "others": {name: _answered(each, prepared) for name, each in outcome.others.items()},
        "train_seconds": round(outcome.train_seconds, 2),
        "seconds": round(unit.clock.seconds, 2),
        "cpu_seconds": round(unit.clock.cpu_seconds, 2),
        "resumed": resumed,
        "trials": settings.trials,
        "epochs": settings.epochs,
        "notes": dict(outcome.notes),
        "commit": EARLIER if arm == "tlsearch_0_1" else present_tree().commit,
        "images": prepared.fingerprint(),
        "versions": {name: importlib.metadata.version(name) for name in _VERSIONED},
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
    }
    if arm in arm_search.TREES:
        arm_search.remove_study(unit, arm_search.TREES[arm]())
    shutil.rmtree(folder)
    return line


def _answered(answer: Answer, prepared: Prepared) -> dict[str, Any]:
    """Return accuracies, and the prediction for each test image as one character."""
    predictions = answer.test.argmax(axis=1)
    return {
        "val": round(accuracy(answer.val, prepared.labels("val")), 5),
        "test": round(accuracy(answer.test, prepared.labels("test")), 5),
        "predictions": written(predictions),
    }


def written(classes: np.ndarray[Any, Any]) -> str:
    """Write classes below 36 as one character each."""
    return "".join(DIGITS[label] for label in classes.tolist())


if __name__ == "__main__":
    main()
