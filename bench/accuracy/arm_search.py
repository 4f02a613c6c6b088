"""Arms `tlsearch` and `tlsearch_0_1`: a search by a source tree's own commands.

Studies live in an embedded PostgreSQL of the bench's own, one for each tree; one worker with one
thread runs the trials. The kept models are files; this bench evaluates them.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors.torch

from .answers import Answer, Outcome, Unit, accuracy, model_of, probabilities
from .arm_probe import features, fitted
from .places import Tree, cache, earlier_tree, present_tree, python
from .spec import spec_text

_REPORT = Path(__file__).with_name("search_report.py")


@dataclass(frozen=True)
class Search:
    """A finished study.

    Attributes:
        trials: number, state, val, origin and seconds of each.
        models: number, val and file of each kept model, the best first.
        seconds: of measuring and of all trials.
    """

    trials: list[dict[str, Any]]
    models: list[dict[str, Any]]
    seconds: float


def run_earlier(unit: Unit) -> Outcome:
    """Search with the earlier tree; its best trial answers."""
    search = _search(unit, earlier_tree())
    answer, notes = _best_trial(unit, search)
    return Outcome(answer, search.seconds, notes=notes)


def run_present(unit: Unit) -> Outcome:
    """Search with this tree; its recommended answer counts, and the candidates are kept beside."""
    search = _search(unit, present_tree())
    best, notes = _best_trial(unit, search)
    with unit.clock.running():
        predict = fitted(features(unit, "train"), features(unit, "val"))
    floor = Answer(predict(features(unit, "val")), predict(features(unit, "test")))
    candidates = {"fixed_features": floor, "best_trial": best, "mean": best.mean_with(floor)}
    recommended = "best_trial"
    notes |= {"recommended": recommended}
    return Outcome(candidates[recommended], search.seconds, candidates, notes)


def study_name(unit: Unit, tree: Tree) -> str:
    """Return the name of a unit's study; another commit has another one."""
    return f"acc-{unit.folder.name}-{tree.commit[:12]}"


def places(unit: Unit, tree: Tree) -> dict[str, Path]:
    """Return the environment that keeps a unit's files, and a tree's database, to themselves."""
    home = cache() / "homes" / tree.folder.name
    home.mkdir(parents=True, exist_ok=True)
    return {
        "XDG_DATA_HOME": home,
        "XDG_CACHE_HOME": unit.folder / "cache",
        "TLSEARCH_ARTIFACTS": unit.folder / "artifacts",
    }


def remove_study(unit: Unit, tree: Tree) -> None:
    """Delete a unit's study from the database."""
    python(tree, [_REPORT, "delete", study_name(unit, tree)], places(unit, tree))


def _search(unit: Unit, tree: Tree) -> Search:
    """Run the study to its end, or what is left of it."""
    name, where = study_name(unit, tree), places(unit, tree)
    spec = unit.folder / "spec.toml"
    spec.write_text(spec_text(unit, name))
    with unit.clock.running():
        python(tree, ["-m", "tlsearch", "create", spec], where)
        python(tree, ["-m", "tlsearch", "worker", name, "--threads", "1"], where)
    found = json.loads(python(tree, [_REPORT, "report", name], where).splitlines()[-1])
    return Search(**found)


def _best_trial(unit: Unit, search: Search) -> tuple[Answer, dict[str, Any]]:
    best = search.models[0]
    tensors = safetensors.torch.load_file(unit.folder / "artifacts" / best["file"])
    state = {
        name.removeprefix("model."): tensor
        for name, tensor in tensors.items()
        if name.startswith("model.")
    }
    model = model_of(state, unit.prepared.n_classes)
    answer = unit.answer(lambda pixels: probabilities(model, pixels))
    again = accuracy(answer.val, unit.prepared.labels("val"))
    notes = {
        "trials": search.trials,
        "best": best["number"],
        "said": best["val"],
        "again": again,
    }
    return answer, notes
