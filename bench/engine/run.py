"""Measures the engine beside timm's loader and a plain step, and reading beside Pillow alone.

    python -m bench.engine.run [--sizes 64 128 224] [--seeds 3] [--epochs 5] [--train 300]
        [--val 200] [--files 10000] [--threads 2] [--only trials reading] [--results FOLDER]
        [--write]                           # 12 minutes on two quiet cores
    python -m bench.engine.run --small      # a minute: whether it works
    python -m bench.engine.run --device cuda [--networks MODEL:PIXELS ...] [--beside 1 2 4]

Arms take turns, in one order under even seeds and in the other under odd ones. Each line goes to
`results/cpu.jsonl` (or `cuda.jsonl`) as soon as it is measured; a run begins the file anew.
`--write` puts the tables into README.md.
"""

import argparse
import json
import os
import platform
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from importlib.metadata import version
from itertools import chain
from pathlib import Path
from typing import Any

from bench.machine import Neighbours, commit, cpu_name
from tlsearch.threads import with_short_spin

from . import gpu, images, reading, table
from .places import RESULTS, ROOT
from .process import run
from .trial import LABELS, MODEL, OURS, PLAIN

Line = dict[str, Any]
MEASURED = ("tlsearch", "bench/engine")
SMALL = {"sizes": [32], "seeds": 2, "epochs": 2, "train": 64, "val": 40, "files": 40}
FULL = {"sizes": [64, 128, 224], "seeds": 3, "epochs": 5, "train": 300, "val": 200, "files": 10_000}
_FASTER_THREADS = ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY", "KMP_BLOCKTIME")


def main() -> None:
    """Read the command line, measure, keep and show."""
    given = _arguments()
    found: Iterator[Line]
    if given.device == "cuda":
        try:
            found = _begun(gpu.measured(_plan(given)))
        except gpu.NoGPU as absent:
            print(absent, file=sys.stderr)
            sys.exit(2)
    else:
        found = chain([_head(given)], _measured(given))
    path = given.results / f"{given.device}.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8") as file:
        for line in found:
            file.write(f"{json.dumps(line)}\n")
            file.flush()
            print(_shown(line), file=sys.stderr, flush=True)
    if given.write:
        table.write(given.results)
    print(table.markdown(table.kept(given.results)))


def _begun(found: Iterator[Line]) -> Iterator[Line]:
    """Take the first line now, so that what cannot begin does not replace earlier results."""
    first = next(found)
    return chain([first], found)


def _plan(given: argparse.Namespace) -> gpu.Plan:
    plan = gpu.SMALL if given.small else gpu.Plan()
    if given.networks:
        pairs = (text.rsplit(":", 1) for text in given.networks)
        plan = replace(plan, networks=tuple((model, int(size)) for model, size in pairs))
    return plan if given.beside is None else replace(plan, beside=tuple(given.beside))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--small", action="store_true", help="a minute, to see whether it works")
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--sizes", type=int, nargs="+", help="sides of the images, pixels")
    parser.add_argument("--seeds", type=int, help="trials of an arm at each size")
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--train", type=int, help="training images")
    parser.add_argument("--val", type=int, help="validation images")
    parser.add_argument("--files", type=int, help="that check and create read")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--workers", type=int, default=2, help="processes of timm's loader")
    parser.add_argument("--networks", nargs="+", metavar="MODEL:PIXELS", help="with cuda")
    parser.add_argument("--beside", type=int, nargs="*", help="with cuda: workers on the GPU")
    parser.add_argument("--arms", nargs="+", choices=LABELS)
    parser.add_argument("--only", nargs="+", choices=["trials", "reading"])
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--write", action="store_true", help="put the tables into README.md")
    given = parser.parse_args()
    given.arms = given.arms or ([OURS, PLAIN] if given.small else list(LABELS))
    for name, value in (SMALL if given.small else FULL).items():
        if getattr(given, name) is None:
            setattr(given, name, value)
    given.only = given.only or ["trials", "reading"]
    return given


def _measured(given: argparse.Namespace) -> Iterator[Line]:
    if "trials" in given.only:
        yield from _trials(given)
    if "reading" in given.only:
        folder = images.for_reading(given.files)
        for line in reading.measured(folder, given.threads):
            yield {"kind": "reading", "files": given.files, **line}


def _trials(given: argparse.Namespace) -> Iterator[Line]:
    folder = images.for_trials(given.train, given.val)
    for path in sorted(folder.rglob("*.jpg")):
        path.read_bytes()
    for size in given.sizes:
        for seed in range(given.seeds):
            for arm in given.arms if seed % 2 == 0 else given.arms[::-1]:
                yield _trial(given, folder, arm, size, seed)


def _trial(given: argparse.Namespace, folder: Path, arm: str, size: int, seed: int) -> Line:
    words = [arm, "--images", f"{folder}"]
    for name, value in {
        "size": size,
        "seed": seed,
        "epochs": given.epochs,
        "threads": given.threads,
        "workers": given.workers,
    }.items():
        words += [f"--{name}", f"{value}"]
    environment = {k: v for k, v in os.environ.items() if k not in _FASTER_THREADS}
    environment["OMP_NUM_THREADS"] = f"{given.threads}"
    if arm != PLAIN:
        environment = with_short_spin(environment)  # as every command of tlsearch does
    neighbours = Neighbours()
    printed = run([sys.executable, "-m", "bench.engine.trial", *words], environment)
    others = neighbours.cores()
    line: Line = {"kind": "trial", "arm": arm, "size": size, "seed": seed}
    return line | printed.json | {"cores_of_others": others}


def _head(given: argparse.Namespace) -> Line:
    return {
        "kind": "head",
        "model": MODEL,
        "train": given.train,
        "val": given.val,
        "epochs": given.epochs,
        "threads": given.threads,
        "workers": given.workers,
        "jpeg_kb": _size_of_files(images.for_trials(given.train, given.val)),
        "cpu": cpu_name(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "versions": {name: version(name) for name in ("torch", "timm", "pillow", "numpy")},
        "commit": commit(*MEASURED),
        "started": time.strftime("%Y-%m-%d %H:%M"),
    }


def _size_of_files(folder: Path) -> Sequence[float]:
    """Return the least, the median and the greatest size of the files, kB."""
    sizes = sorted(path.stat().st_size / 1000 for path in folder.rglob("*.jpg"))
    return [round(sizes[k], 1) for k in (0, len(sizes) // 2, -1)]


def _shown(line: Line) -> str:
    words = [
        f"{name}={value:.3g}" if isinstance(value, float) else f"{name}={value}"
        for name, value in line.items()
        if name != "said"
    ]
    return f"{time.strftime('%H:%M:%S')} {' '.join(words)}"


if __name__ == "__main__":
    os.chdir(ROOT)
    main()
