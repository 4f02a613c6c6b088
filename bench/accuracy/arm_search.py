"""Arms `tlsearch` and `tlsearch_0_1`: a search by a source tree's own commands.

Studies live in an embedded PostgreSQL of the bench's own, one for each tree; one worker with one
thread runs the trials. The kept models are files; this bench evaluates them.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import safetensors.torch

from .answers import (
    Answer,
    Outcome,
    Settings,
    Unit,
    accuracy,
    mean_answer,
    model_of,
    probabilities,
)
from .arm_probe import features, fitted
from .places import Tree, cache, earlier_tree, present_tree, python
from .spec import spec_text

TREES: dict[str, Callable[[], Tree]] = {"tlsearch_0_1": earlier_tree, "tlsearch": present_tree}
_REPORT = Path(__file__).with_name("search_report.py")
_FIXED = "fixed_features"  # origin of the trial that is no training


@dataclass(frozen=True)
class Search:
    """A finished study.

    Attributes:
        trials: number, state, val, origin, duplicate_of and seconds of each.
        models: number, val, origin and file of each kept model, the best first.
        seconds: of measuring and of all trials.
        answer: numbers of the trials of which the recommended answer is the mean; None where the
            tree recommends none.
    """

    trials: list[dict[str, Any]]
    models: list[dict[str, Any]]
    seconds: float
    answer: list[int] | None

    def model(self, number: int) -> dict[str, Any]:
        """Return the kept model of a trial, or of the one that it is a duplicate of."""
        trial = next(each for each in self.trials if each["number"] == number)
        original = trial["duplicate_of"]
        wanted = number if original is None else original
        return next(each for each in self.models if each["number"] == wanted)


def run_earlier(unit: Unit) -> Outcome:
    """Search with the earlier tree; its best trial answers."""
    search = _search(unit, earlier_tree(), as_the_quickstart_was(unit.settings))
    best = search.models[0]
    answer = _answer(unit, best)
    return Outcome(answer, search.seconds, notes=_notes(unit, search, best, answer))


def run_present(unit: Unit) -> Outcome:
    """Search with this tree; its recommended answer counts, and the candidates are kept beside."""
    search = _search(unit, present_tree(), unit.settings)
    best = next(model for model in search.models if model["origin"] != _FIXED)
    trained, floor = _answer(unit, best), _floor(unit, search)
    candidates = {_FIXED: floor, "best_trial": trained, "mean": trained.mean_with(floor)}
    numbers = search.answer or [best["number"]]
    parts = [_answer(unit, search.model(number)) for number in numbers]
    answer = mean_answer(parts)
    notes = _notes(unit, search, best, trained) | {"recommended": numbers}
    return Outcome(answer, search.seconds, candidates, notes)


def as_the_quickstart_was(settings: Settings) -> Settings:
    """Return as many epochs in all, but twice the trials of half the epochs."""
    return replace(settings, trials=2 * settings.trials, epochs=settings.epochs // 2)


def study_name(unit: Unit, tree: Tree) -> str:
    """Return the name of a unit's study; another commit has another one."""
    return f"acc-{unit.folder.name}-{tree.commit[:12]}"


def places(unit: Unit, tree: Tree) -> dict[str, Path]:
    """Return the environment that keeps a unit's files, and a tree's database, to themselves."""
    return {
        "XDG_DATA_HOME": _home(tree),
        "XDG_CACHE_HOME": unit.folder / "cache",
        "TLSEARCH_ARTIFACTS": unit.folder / "artifacts",
    }


def stop_server(tree: Tree) -> None:
    """Stop a tree's database, if it runs."""
    python(tree, ["-m", "tlsearch", "db", "stop"], {"XDG_DATA_HOME": _home(tree)})


def remove_study(unit: Unit, tree: Tree) -> None:
    """Delete a unit's study from the database."""
    python(tree, [_REPORT, "delete", study_name(unit, tree)], places(unit, tree))


def _home(tree: Tree) -> Path:
    """Return the folder of a tree's database."""
    home = cache() / "homes" / tree.folder.name
    home.mkdir(parents=True, exist_ok=True)
    return home


def _search(unit: Unit, tree: Tree, settings: Settings) -> Search:
    """Run the study to its end, or what is left of it."""
    name, where = study_name(unit, tree), places(unit, tree)
    spec = unit.folder / "spec.toml"
    spec.write_text(spec_text(unit, name, settings))
    with unit.clock.running():
        python(tree, ["-m", "tlsearch", "create", spec], where)
        python(tree, ["-m", "tlsearch", "worker", name, "--threads", "1"], where)
    found = json.loads(python(tree, [_REPORT, "report", name], where).splitlines()[-1])
    return Search(**found)


def _floor(unit: Unit, search: Search) -> Answer:
    """Return the answer of the study's own model on fixed features, or of one fitted here."""
    for model in search.models:
        if model["origin"] == _FIXED:
            return _answer(unit, model)
    with unit.clock.running():
        train, val = features(unit, "train"), features(unit, "val")
        predict = fitted(train, val)
    return Answer(predict(val), predict(features(unit, "test")))


def _answer(unit: Unit, kept: Mapping[str, Any]) -> Answer:
    """Return the answer of a kept model."""
    tensors = safetensors.torch.load_file(unit.folder / "artifacts" / kept["file"])
    state = {
        name.removeprefix("model."): tensor
        for name, tensor in tensors.items()
        if name.startswith("model.")
    }
    model = model_of(state, unit.prepared.n_classes)
    return unit.answer(lambda pixels: probabilities(model, pixels))


def _notes(unit: Unit, search: Search, best: Mapping[str, Any], answer: Answer) -> dict[str, Any]:
    """Return the trials, and the best one's accuracy on validation as it said and as found here."""
    again = accuracy(answer.val, unit.prepared.labels("val"))
    return {
        "trials_run": search.trials,
        "best": best["number"],
        "said": best["val"],
        "again": round(again, 5),
    }
