"""Arm `fastai`: its documented way, in an environment of its own (see fastai_script.py)."""

import json
import subprocess
import sys
import sysconfig
from pathlib import Path

import numpy as np
import safetensors.torch

from .answers import BATCH_SIZE, CROP_SCALE, MODEL, Answer, Outcome, Unit
from .places import Absent, cache, call, environment, present_tree
from .targets import Arrays

REQUIREMENTS = (
    "fasttransform==0.0.5",
    "fastprogress==1.1.6",
    "fastdownload==0.0.8",
    "fastcore==2.2.41",
    "plum-dispatch==2.9.0",
    "python-fasthtml==0.14.14",
    "pandas",
    "cloudpickle",
)
FASTAI = "fastai==2.8.12"
_SCRIPT = Path(__file__).with_name("fastai_script.py")


def run(unit: Unit) -> Outcome:
    """Train in fastai's environment, and answer with what is best on validation."""
    python = interpreter()
    inputs, outputs, weights = (
        unit.folder / name for name in ("images.npz", "answers.npz", "pretrained.safetensors")
    )
    state = {name: tensor.contiguous() for name, tensor in unit.backbone().state.items()}
    safetensors.torch.save_file(state, weights)
    arrays: Arrays = {f"x_{part}": unit.pixels(part) for part in ("train", "val", "test")}
    for part in ("train", "val"):
        arrays[f"y_{part}"] = unit.prepared.labels(part)
    np.savez(inputs, **arrays)  # type: ignore[arg-type]
    task = {
        "images": str(inputs),
        "answers": str(outputs),
        "weights": str(weights),
        "model": MODEL,
        "n_classes": unit.prepared.n_classes,
        "size": unit.settings.image_size,
        "epochs": unit.settings.epochs,
        "batch_size": BATCH_SIZE,
        "min_scale": CROP_SCALE[0],
        "flip": unit.prepared.target.horizontal_flip,
        "seed": unit.seed,
    }
    with unit.clock.running():
        command: list[str | Path] = [python, _SCRIPT, json.dumps(task)]
        printed = call(command, environment(present_tree()), unit.folder)
    notes = json.loads(printed.strip().splitlines()[-1])
    with np.load(outputs) as found:
        answer = Answer(found["val"].astype(np.float64), found["test"].astype(np.float64))
    return Outcome(answer, notes.pop("train_seconds"), notes=notes)


def interpreter() -> Path:
    """Return the interpreter of an environment with fastai on top of ours, made if need be.

    Raises:
        Absent: it cannot be made.
    """
    folder = cache() / "fastai"
    python = folder / "bin" / "python"
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    ours = folder / "lib" / version / "site-packages" / "ours.pth"
    if (folder / "complete").exists():
        ours.write_text(f"{sysconfig.get_path('purelib')}\n")  # that of another tree may be gone
        return python
    try:
        _install([sys.executable, "-m", "venv", "--clear", folder])
        ours.write_text(f"{sysconfig.get_path('purelib')}\n")
        install: list[str | Path] = [
            python,
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
        ]
        _install([*install, *REQUIREMENTS])
        _install([*install, "--no-deps", FASTAI])  # without spaCy, which images do not need
    except (OSError, subprocess.SubprocessError) as error:
        said = (getattr(error, "stderr", "") or "").strip()[-500:]
        raise Absent(f"an environment with {FASTAI} cannot be made: {error} {said}") from None
    (folder / "complete").touch()
    return python


def _install(command: list[str | Path]) -> None:
    subprocess.run(command, check=True, capture_output=True, text=True, timeout=900)
