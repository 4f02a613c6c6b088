"""Does the earned prior beat plain TPE on real fine-tunes, and not only on a surrogate?

    python bench/search/live.py [--target emoji] [--seeds 3] [--trials 24] [--storage URL]
                                [--json FILE]

For each seed, two studies of the target run side by side, one worker with one thread each: plain
TPE without measures, and the default sampler with its measures. The best trial of a study, and the
best of what had ended in a quarter of plain TPE's seconds, are then trained again under other seeds
of the recipe, as the best of many validation accuracies is too high by chance. Interrupted, the
command goes on where it stopped. Prints Markdown. Nothing is asserted.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from replay import commit, table_lines
from table import HERE, TARGETS, write_digits

from tlsearch.backbones import load_backbone
from tlsearch.data import load_catalog, load_training_data
from tlsearch.finetune import FineTuneData, fine_tune
from tlsearch.records import TrialRecord
from tlsearch.spec import BudgetSpec, MeasuresSpec, PrunerSpec, SamplerSpec, StudySpec, load_spec
from tlsearch.store.connect import open_storage
from tlsearch.store.studies import find_study
from tlsearch.store.trials import trial_records
from tlsearch.studies.create import create_study
from tlsearch.studies.read import StudyReader

ARMS = ("tpe", "earned_prior")
AGAIN = 5  # times the best trial is trained again


@dataclass(frozen=True)
class Outcome:
    """What a study found.

    Attributes:
        arm, seed: which it was.
        trials: its trials, by number.
        measures_seconds: what measuring took.
        again: validation accuracies of its best trial under other seeds of the recipe.
        quarter: the same of the best trial in a quarter of plain TPE's seconds.
    """

    arm: str
    seed: int
    trials: tuple[TrialRecord, ...]
    measures_seconds: float
    again: tuple[float, ...] = ()
    quarter: tuple[float, ...] = ()

    @property
    def seconds(self) -> float:
        """Seconds of measuring and training."""
        return self.measures_seconds + sum(trial.seconds or 0.0 for trial in self.trials)

    def best(self, seconds: float = float("inf")) -> TrialRecord:
        """Return the best trial of those that had ended by then, the first one at least."""
        spent, best = self.measures_seconds, self.trials[0]
        for trial in self.trials:
            spent += trial.seconds or 0.0
            better = (trial.val_accuracy or 0.0) > (best.val_accuracy or 0.0)
            if spent <= seconds and trial.state == "complete" and better:
                best = trial
        return best


def main() -> None:
    """Run the studies, train the winners again, and report."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--target", choices=TARGETS, default="emoji")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--trials", type=int, default=24)
    parser.add_argument("--storage", default=None)
    parser.add_argument("--json", type=Path, default=None)
    options = parser.parse_args()
    write_digits(HERE / "data" / "digits.npz")
    for seed in range(options.seeds):
        run([spec_of(options, arm, seed) for arm in ARMS], options.storage)
    torch.set_num_threads(1)
    outcomes = [one for seed in range(options.seeds) for one in pair(options, seed)]
    print(markdown(options.target, outcomes))
    if options.json:
        machine = f"{platform.machine()}, {os.cpu_count()} cores, one thread an arm"
        found = [_plain(one) for one in outcomes]
        document = {"commit": commit(), "machine": machine, "studies": found}
        text = json.dumps(document, indent=1)
        options.json.write_text(text + "\n")


def pair(options: argparse.Namespace, seed: int) -> list[Outcome]:
    """Read both studies of a seed and train their best trials again."""
    specs = {arm: spec_of(options, arm, seed) for arm in ARMS}
    found = {arm: outcome(spec, arm, seed, options.storage) for arm, spec in specs.items()}
    quarter = found["tpe"].seconds / 4
    return [
        replace(
            one,
            again=again(specs[arm], one.best()),
            quarter=again(specs[arm], one.best(quarter)),
        )
        for arm, one in found.items()
    ]


def spec_of(options: argparse.Namespace, arm: str, seed: int) -> StudySpec:
    """Return the spec of a study; both arms run every trial to its end."""
    return load_spec(HERE / f"{options.target}.toml").model_copy(
        update={
            "name": f"live-{options.target}-{arm}-{seed}",
            "measures": MeasuresSpec(when="worker" if arm == "earned_prior" else "off"),
            "sampler": SamplerSpec(name=arm, seed=seed),
            "pruner": PrunerSpec(name="none"),
            "budget": BudgetSpec(trials=options.trials),
        }
    )


def run(specs: list[StudySpec], storage: str | None) -> None:
    """Run studies side by side, a worker each."""
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    if storage:
        environment["TLSEARCH_STORAGE"] = storage
    workers = []
    for spec in specs:
        create_study(spec, storage)
        command = [sys.executable, "-m", "tlsearch", "worker", spec.name, "--threads", "1"]
        workers.append(subprocess.Popen(command, env=environment, stdout=sys.stderr))
    codes = [worker.wait() for worker in workers]
    if any(codes):
        sys.exit(f"workers ended with {codes}; run the command again to go on")


def outcome(spec: StudySpec, arm: str, seed: int, storage: str | None) -> Outcome:
    """Read what a study found."""
    database = open_storage(storage)
    trials = trial_records(database, find_study(database, spec.name).study_id)
    reader = StudyReader(spec.name, storage)
    measures_seconds = 0.0
    if spec.measures.when != "off":
        measures = reader.measures()
        measures_seconds = sum(
            (measures.feature_seconds, measures.lr_range_seconds, measures.random_init_seconds)
        )
    return Outcome(arm, seed, tuple(trials), measures_seconds)


def again(spec: StudySpec, trial: TrialRecord) -> tuple[float, ...]:
    """Train under other seeds of the recipe and return the validation accuracies."""
    assert trial.params is not None
    recipe, device = spec.recipe, torch.device("cpu")
    backbone = load_backbone(spec.backbone.model, spec.backbone.weights, recipe.image_size)
    images = load_training_data(load_catalog(spec.data), recipe.image_size, recipe.eval_crop)
    data = FineTuneData.on_device(images, device)
    seeds = range(recipe.seed + 1, recipe.seed + 1 + AGAIN)
    return tuple(
        fine_tune(
            backbone, data, recipe.model_copy(update={"seed": seed}), trial.params, device
        ).val_accuracy
        for seed in seeds
    )


def markdown(target: str, outcomes: list[Outcome]) -> str:
    """Return a table, a row a study."""
    tpe = {one.seed: one for one in outcomes if one.arm == "tpe"}
    rows = []
    for one in outcomes:
        early = one.best(tpe[one.seed].seconds / 4).val_accuracy or 0.0
        last = one.best().val_accuracy or 0.0
        rows.append(
            [
                str(one.seed),
                one.arm,
                f"{len(one.trials)}",
                f"{one.seconds:.0f}",
                f"{100 * early:.1f}",
                _shown(one.quarter),
                f"{100 * last:.1f}",
                _shown(one.again),
            ]
        )
    for arm in ARMS:
        of_arm = [one for one in outcomes if one.arm == arm]
        early_again = [statistics.mean(one.quarter) for one in of_arm]
        last_again = [statistics.mean(one.again) for one in of_arm]
        rows.append(["mean", arm, "", "", "", _shown(early_again), "", _shown(last_again)])
    head = ["seed", "arm", "trials", "seconds", "best seen in a quarter", f"again, n = {AGAIN}"]
    head += ["best seen", f"again, n = {AGAIN}"]
    title = f"### {target}: real studies side by side; per cent of validation images, seconds"
    return "\n".join([title, "", *table_lines(head, rows)])


def _shown(accuracies: Sequence[float]) -> str:
    """Show mean and standard deviation, per cent."""
    return f"{100 * statistics.mean(accuracies):.1f} +- {100 * statistics.stdev(accuracies):.1f}"


def _plain(one: Outcome) -> dict[str, object]:
    return {
        "arm": one.arm,
        "seed": one.seed,
        "measures_seconds": round(one.measures_seconds, 2),
        "again": list(one.again),
        "again_after_a_quarter": list(one.quarter),
        "trials": [
            {
                "number": trial.number,
                "origin": trial.origin,
                "val_accuracy": trial.val_accuracy,
                "seconds": trial.seconds,
                "params": trial.params.as_dict() if trial.params else None,
            }
            for trial in one.trials
        ],
    }


if __name__ == "__main__":
    main()
