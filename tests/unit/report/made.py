"""Facts of studies that no database holds: real fine-tunes of the bench's tables, or made ones."""

import json
import math
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np

from tlsearch.records import Controls, Hyperparameters, Measures, TrialRecord, answer_of
from tlsearch.report.page.facts import Extras, Facts
from tlsearch.space import resolve
from tlsearch.spec import SpaceSpec, parse_spec
from tlsearch.store.stored_study import Provenance, StoredStudy, StudyBackbone, StudyData
from tlsearch.store.trials import best_first

RESULTS = Path(__file__).parents[3] / "bench" / "search" / "results"
HOSTILE = '<script>alert("1")</script>&\n\u202evil \'"' + "x" * 300
LITTLE = Controls("running", 10, None, None, None, None, 0.25, None, None)


def study(name: str = "s", classes: Sequence[str] = ("a", "b"), n_val: int = 200) -> StoredStudy:
    spec = parse_spec(
        {
            "name": "s",
            "data": {"path": "builtin:fashion-mnist-30"},
            "backbone": {"model": "tf_efficientnet_lite0"},
            "recipe": {"image_size": 48, "epochs": 4},
        }
    )
    return StoredStudy(
        study_id=1,
        name=name,
        spec=spec,
        spec_hash="0" * 64,
        space=resolve(SpaceSpec(), 17),
        data=StudyData(tuple(classes), "f", 320, n_val, 100),
        backbone=StudyBackbone(("stem", "classifier"), "0" * 64),
        provenance=Provenance({}, None),
    )


def facts(
    trials: Sequence[TrialRecord],
    curves: Mapping[int, tuple[float, ...]] | None = None,
    measures: Measures | None = None,
    extras: Extras | None = None,
    of: StoredStudy | None = None,
) -> Facts:
    found = of or study()
    begin = datetime(2026, 11, 1)
    return Facts(
        study=found,
        trials=trials,
        curves=curves or {},
        ended={t.number: begin + timedelta(minutes=t.number) for t in trials},
        energy={},
        controls=LITTLE,
        measures=measures,
        answer=answer_of(best_first(list(trials)), found.data.n_val),
        extras=extras or Extras(),
    )


def trial(number: int, accuracy: float | None, state: str = "complete", **more: Any) -> TrialRecord:
    """A trial of plain fine-tuning but for what is given."""
    record: dict[str, Any] = {
        "origin": "tpe",
        "seconds": 10.0,
        "duplicate_of": None,
        "reason": None,
    }
    of_record = {name: more.pop(name) for name in record if name in more}
    values = {"reinit_layers": 1, "high_lr": 0.01, "low_lr_ratio": 1.0, "low_layers": 0}
    values |= {"alpha": 1e-4, "beta": 1e-4, "l2sp_layers": 0, **more}
    params = Hyperparameters.from_dict(values)
    return TrialRecord(number, state, accuracy, params, 4, **record | of_record)


def table(target: str) -> Facts:
    """The real fine-tunes of a table in `bench/search/results`."""
    lines = [json.loads(line) for line in (RESULTS / f"table-{target}.jsonl").open()]
    measures = Measures.from_dict(json.loads((RESULTS / "measures.json").read_text())[target])
    found, curves = [], {}
    for line in lines[1:]:
        curve, params = line["curve"], line["params"]
        own = dict(params) | {"seconds": line["seconds"], "origin": line["origin"]}
        found.append(trial(line["number"], curve[-1], line["state"], **own))
        curves[line["number"]] = tuple(curve)
    return facts(found, curves, measures, of=study(target, n_val=lines[0]["n_val"]))


def many(n: int, seed: int = 0) -> Facts:
    """Trials drawn at random, some of them pruned, failed, duplicates, or not finite."""
    drawn = np.random.default_rng(seed)
    found, curves = [], {}
    for number in range(n):
        rate = 10 ** drawn.uniform(-3, -1)
        values = {"reinit_layers": drawn.integers(0, 5), "high_lr": rate}
        values |= {"low_lr_ratio": drawn.uniform(0.03, 1), "low_layers": drawn.integers(0, 18)}
        values |= {"alpha": 10 ** drawn.uniform(-4, -1), "l2sp_layers": drawn.integers(0, 18)}
        accuracy = 0.8 - 0.1 * abs(math.log10(rate / 0.03)) + drawn.normal(0, 0.02)
        state = ("complete", "pruned", "fail")[int(drawn.choice(3, p=(0.7, 0.2, 0.1)))]
        nothing = state == "fail" and number % 2
        record = trial(number, None if nothing else accuracy, state, **values)
        found.append(record)
        curves[number] = tuple(accuracy * (1 - 0.5**epoch) for epoch in range(1, 21))
        if number % 50 == 7:
            curves[number] = (0.1, math.nan, math.inf)
    return facts(found, curves)
