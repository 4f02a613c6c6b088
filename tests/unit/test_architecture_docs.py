"""docs/architecture.md names functions that exist, and its picture is that of today's code."""

import importlib
import inspect
import re
import sys
from functools import reduce
from itertools import pairwise
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "architecture.md").read_text()
STEP = re.compile(r"^\d+\. `(tlsearch[\w.]*)(?::([\w.]+))?`", re.MULTILINE)
STEPS = sorted({(module, name) for module, name in STEP.findall(PAGE)})


@pytest.fixture(scope="module")
def drawing() -> ModuleType:
    """The script that draws the picture."""
    sys.path.insert(0, str(ROOT / "docs" / "pictures"))
    try:
        return importlib.import_module("architecture")
    finally:
        sys.path.pop(0)


def in_database(name: str) -> bool:
    """Whether the SQL of the project makes a function or a view of that name."""
    texts = "\n".join(path.read_text() for path in sorted((ROOT / "db").rglob("*.sql")))
    made = r"CREATE (?:OR REPLACE )?(?:FUNCTION|VIEW)"
    return re.search(rf"{made} {re.escape(name)}\b", texts) is not None


def test_the_walks_are_there() -> None:
    walks = re.split(r"^## ", PAGE, flags=re.MULTILINE)[1:]
    assert len(walks) == 4
    for walk in walks:
        assert len(STEP.findall(walk)) >= 9, walk.splitlines()[0]
        assert len(STEP.findall(walk)) == len(re.findall(r"^\d+\. ", walk, re.MULTILINE))


def found(module: str, name: str) -> Any:
    """Return what a step names: `module.function`, or `module:Class.method`."""
    if not name:
        module, _, name = module.rpartition(".")
    return reduce(getattr, name.split("."), importlib.import_module(module))


@pytest.mark.parametrize(("module", "name"), STEPS)
def test_a_step_exists(module: str, name: str) -> None:
    """In Python, or, without a module, in SQL."""
    if not name and module.count(".") == 1:
        assert in_database(module)
    else:
        assert callable(found(module, name))


def test_each_frame_of_the_first_walk_calls_the_next() -> None:
    frames = STEP.findall(PAGE.partition("## From the front door")[2].partition("\n## ")[0])
    assert [frames[0][0], frames[-1][0]] == [
        "tlsearch.worker.run.run_worker",
        "tlsearch.finetune.engine.fine_tune",
    ]
    assert len(frames) <= 10, "at most nine frames to the training"
    for frame, following in pairwise(frames):
        called = re.split(r"[.:]", following[1] or following[0])[-1]
        assert re.search(rf"\b{called}\(", inspect.getsource(found(*frame))), (frame, following)


def test_the_picture_shows_the_layers_of_the_import_linter(drawing: ModuleType) -> None:
    shown = re.findall(r'id="room-(\d+)-(\w+)"', drawing.PICTURE.read_text())
    rooms: dict[int, set[str]] = {}
    for height, room in shown:
        rooms.setdefault(int(height), set()).add(room)
    wanted = [set(layer) for layer in drawing.layers()]
    assert [rooms[height] for height in sorted(rooms)] == wanted, REDRAW


def test_the_picture_shows_the_imports_of_the_code(drawing: ModuleType) -> None:
    shown = set(re.findall(r'id="arrow-(\w+)-(\w+)"', drawing.PICTURE.read_text()))
    wanted = {(room, other) for room, found in drawing.arrows().items() for other in found}
    assert shown == wanted, REDRAW


def test_the_halves_of_the_picture_are_those_of_the_contracts(drawing: ModuleType) -> None:
    """Rooms of the search half stand on the left, those of the fine-tuning half on the right."""
    places = {room: x for room, (x, _) in drawing.PLACES.items()}
    anywhere = {*drawing.ANY_ROOM_MAY_IMPORT, "optuna_ext"}
    anywhere |= {"cli", "notebook", "export", "studies", "launcher", "worker"}
    search = drawing.rooms_of("no-tensors-in-search") - anywhere
    training = drawing.rooms_of("no-search-in-fine-tuning") - anywhere
    assert search | training | anywhere == set(places)
    assert max(places[room] for room in search) < min(places[room] for room in training)


REDRAW = "run: python docs/pictures/architecture.py"
