"""Fills a table of real fine-tunes: random configurations of the whole space on three targets.

    python bench/search/table.py run [TARGET ...] [--workers 2] [--threads 1] [--storage URL]
    python bench/search/table.py export [TARGET ...] [--storage URL]

Each target is an ordinary study (`TARGET.toml` beside this file, sampler `random`, no pruner) that
tlsearch's own workers run; interrupted, the command goes on where it stopped. `export` writes one
line of JSON a trial, with its learning curve and seconds, to `results/table-TARGET.jsonl`.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np

from tlsearch.records import HYPERPARAMETER_NAMES
from tlsearch.spec import load_spec
from tlsearch.store.connect import open_storage
from tlsearch.store.studies import find_study
from tlsearch.studies.create import create_study

HERE = Path(__file__).resolve().parent
TARGETS = ("fashion-30", "emoji", "digits")
TRAIN_PER_CLASS, VAL_PER_CLASS = 30, 40


def main() -> None:
    """Run or export."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("action", choices=["run", "export"])
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=", ".join(TARGETS))
    parser.add_argument("--storage", default=None)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    for target in args.targets or TARGETS:
        if args.action == "run":
            run(target, args.storage, args.workers, args.threads)
        export(target, args.storage)


def run(target: str, storage: str | None, workers: int, threads: int) -> None:
    """Create the study of a target if it does not exist, and run it to its end."""
    if target == "digits":
        write_digits(HERE / "data" / "digits.npz")
    study, _ = create_study(HERE / f"{target}.toml", storage)
    command = [sys.executable, "-m", "tlsearch", "worker", study.name, "--threads", str(threads)]
    environment = os.environ | {"OMP_NUM_THREADS": str(threads)}
    if storage:
        environment["TLSEARCH_STORAGE"] = storage
    processes = [subprocess.Popen(command, env=environment) for _ in range(workers)]
    codes = [process.wait() for process in processes]
    if any(codes):
        sys.exit(f"a worker of {target} ended with {codes}; run the command again to go on")


def write_digits(path: Path) -> None:
    """Write scikit-learn's digits as 30 train and 40 validation images a class, the rest test."""
    from sklearn.datasets import load_digits

    if path.exists():
        return
    digits = load_digits()
    images = np.round(digits.images * (255 / 16)).astype(np.uint8)
    order = np.random.default_rng(0).permutation(len(images))
    ranks = np.empty(len(images), dtype=int)  # of an image among those of its class
    for label in range(10):
        of_class = order[digits.target[order] == label]
        ranks[of_class] = np.arange(len(of_class))
    split = np.digitize(ranks, [TRAIN_PER_CLASS, TRAIN_PER_CLASS + VAL_PER_CLASS])
    arrays = {}
    for number, name in enumerate(("train", "val", "test")):
        arrays[f"x_{name}"] = images[split == number]
        arrays[f"y_{name}"] = digits.target[split == number]
    path.parent.mkdir(exist_ok=True)
    np.savez_compressed(path, **arrays)


def export(target: str, storage: str | None) -> None:
    """Write the ended trials of a target, a line of JSON each; the first line describes them."""
    database = open_storage(storage)
    study = find_study(database, load_spec(HERE / f"{target}.toml").name)
    lines: list[dict[str, object]] = [
        {
            "target": target,
            "machine": f"{platform.machine()}, {os.cpu_count()} cores",
            "n_body_layers": study.space.n_body_layers,
            "ranges": study.space.as_dict()["ranges"],
            "n_train": study.data.n_train,
            "n_val": study.data.n_val,
            "provenance": asdict(study.provenance),
        }
    ]
    for trial in database.get_all_trials(study.study_id, deepcopy=False):
        if trial.state.is_finished():
            lines.append(
                {
                    "number": trial.number,
                    "state": trial.state.name.lower(),
                    "origin": trial.user_attrs.get("origin"),
                    "params": {name: trial.params.get(name) for name in HYPERPARAMETER_NAMES},
                    "curve": [value for _, value in sorted(trial.intermediate_values.items())],
                    "seconds": round(trial.user_attrs.get("seconds", 0.0), 2),
                    "reason": trial.user_attrs.get("reason"),
                }
            )
    write_lines(HERE / "results" / f"table-{target}.jsonl", lines)


def write_lines(path: Path, lines: Sequence[dict[str, object]]) -> None:
    """Write JSON lines."""
    path.parent.mkdir(exist_ok=True)
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    print(f"{path}: {len(lines) - 1} trials")


if __name__ == "__main__":
    main()
