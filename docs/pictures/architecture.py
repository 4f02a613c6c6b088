"""Draws the rooms of tlsearch and what imports what: `python docs/pictures/architecture.py`.

Layers are those of `.importlinter`, arrows the imports in the code. Arrows that follow from others
are left out, and so are those to the rooms at the bottom right, which any room may import.
"""

import configparser
from pathlib import Path
from typing import Any

import grimp
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch, Rectangle

ROOT = Path(__file__).parents[2]
PICTURE = Path(__file__).with_suffix(".svg")

# Where a room stands from left to right, and what it does.
PLACES = {
    "cli": (0.53, "the commands"),
    "notebook": (0.75, "a study as an object"),
    "export": (0.40, "a model to keep"),
    "studies": (0.40, "create, steer, read"),
    "launcher": (0.66, "processes of a host"),
    "worker": (0.53, "runs trials"),
    "dashboard": (0.1425, "optuna-dashboard"),
    "report": (0.1425, "tables, pictures"),
    "evaluation": (0.70, "on test images"),
    "sampler": (0.385, "from spec to Optuna"),
    "finetune": (0.70, "the training"),
    "measures": (0.87, "do the weights fit?"),
    "store": (0.1425, "studies, claims; db/"),
    "predict": (0.70, "classifies images"),
    "prior": (0.50, "where to start"),
    "estimate": (0.30, "what to expect of it"),
    "backbones": (0.87, "networks, layers"),
    "space": (0.30, "the search space"),
    "artifacts": (0.07, "files of trials"),
    "postgres": (0.215, "embedded server"),
    "data": (0.70, "from disk to batches"),
    "spec": (0.785, "the study spec"),
    "records": (0.785, "what rooms hand over"),
    "errors": (0.66, "a tree of errors"),
    "threads": (0.80, "idle threads"),
    "importing": (0.94, "signals in imports"),
    "optuna_ext": (0.30, "for any Optuna study: knows nothing of tlsearch"),
}
ANY_ROOM_MAY_IMPORT = ("spec", "records", "errors", "threads", "importing")

HALF, HEIGHT = 0.065, 0.62  # of a box: half its width, and its height in layers
DEPTH = 1.4  # of the box of optuna_ext, likewise
SEARCH, TRAINING, BOTH, GROUND = "#dbe8f6", "#fbe6d4", "#ffffff", "#ececec"
INK, FAINT = "#1f2937", "#6b7280"

Layers = list[list[str]]
Imports = dict[str, set[str]]

plt.rcParams["svg.hashsalt"] = "tlsearch"  # the same ids each time it is drawn


def layers() -> Layers:
    """Return the rooms of each layer, from the top, as `.importlinter` has them."""
    lines = _contract("direction")["layers"].strip().splitlines()
    return [line.replace("|", " ").split() for line in lines]


def arrows() -> Imports:
    """Return what each room imports and reaches in no other way, but for `ANY_ROOM_MAY_IMPORT`."""
    imports = _imports()
    reached = {room: _reached(room, imports) for room in imports}
    return {
        room: {b for b in found if not any(b in reached[other] for other in found)}
        for room, found in imports.items()
    }


def rooms_of(contract: str) -> set[str]:
    """Return the rooms that a contract is about."""
    return {module.split(".")[1] for module in _contract(contract)["source_modules"].split()}


def draw(path: Path) -> None:
    """Draw the picture into a file."""
    rows = layers()
    figure, axes = plt.subplots(figsize=(10, 9.2))
    axes.set_axis_off()
    axes.set_xlim(-0.005, 1.005)
    axes.set_ylim(len(rows) - 0.4, -0.5)
    figure.subplots_adjust(0, 0, 1, 1)
    _draw_halves(axes)
    height = {room: y for y, row in enumerate(rows) for room in row}
    for room, found in arrows().items():
        for other in sorted(found):
            _draw_arrow(axes, room, other, height)
    for room, y in height.items():
        _draw_room(axes, room, y)
    figure.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None)
    plt.close(figure)


def _contract(name: str) -> configparser.SectionProxy:
    settings = configparser.ConfigParser()
    settings.read(ROOT / ".importlinter")
    return settings[f"importlinter:contract:{name}"]


def _imports() -> Imports:
    graph = grimp.build_graph("tlsearch")
    found: Imports = {room: set() for row in layers() for room in row}
    for module in graph.modules:
        for imported in graph.find_modules_directly_imported_by(module):
            room, other = (name.partition(".")[2].partition(".")[0] for name in (module, imported))
            if room in found and other in found and room != other:
                found[room].add(other)
    return {room: others - {*ANY_ROOM_MAY_IMPORT} for room, others in found.items()}


def _reached(room: str, imports: Imports) -> set[str]:
    """Return what a room imports by way of others."""
    seen: set[str] = set()
    ahead = list(imports[room])
    while ahead:
        other = ahead.pop()
        if other not in seen:
            seen.add(other)
            ahead += imports[other]
    return seen


def _draw_halves(axes: Axes) -> None:
    top, bottom = _row_of("worker") + 0.55, _row_of("data") + 0.5
    for left, right, colour in ((0.0, 0.572, SEARCH), (0.628, 1.0, TRAINING)):
        box = Rectangle((left, top), right - left, bottom - top, color=colour, zorder=0, lw=0)
        axes.add_patch(box)
    words: dict[str, Any] = {"size": 9, "color": INK, "style": "italic", "va": "center"}
    axes.text(0.395, bottom - 0.5, "search half:\nnever sees\na tensor", **words)
    axes.text(0.78, bottom - 0.5, "fine-tuning half:\nnever sees Optuna\nor the database", **words)
    axes.text(0.637, _row_of("errors") + 0.6, "any room may import these", **words)


def _row_of(room: str) -> int:
    return next(y for y, row in enumerate(layers()) if room in row)


def _draw_room(axes: Axes, room: str, y: int) -> None:
    x, what = PLACES[room]
    half, top = (0.28, y - DEPTH) if room == "optuna_ext" else (HALF, y - HEIGHT / 2)
    if room in ("spec", "records"):
        half = 0.15
    box = FancyBboxPatch(
        (x - half, top),
        2 * half,
        y + HEIGHT / 2 - top,
        boxstyle="round,pad=0,rounding_size=0.012",
        mutation_aspect=len(layers()),
        facecolor=GROUND if room in (*ANY_ROOM_MAY_IMPORT, "optuna_ext") else BOTH,
        edgecolor=INK,
        linewidth=1,
        zorder=2,
        gid=f"room-{y}-{room}",
    )
    axes.add_patch(box)
    middle = (top + y + HEIGHT / 2) / 2
    label: dict[str, Any] = {"ha": "center", "zorder": 3}
    axes.text(x, middle + 0.02, room, size=11, weight="bold", color=INK, va="bottom", **label)
    axes.text(x, middle + 0.08, what, size=8, color=FAINT, va="top", **label)


def _draw_arrow(axes: Axes, room: str, other: str, height: dict[str, int]) -> None:
    start, end = PLACES[room][0], PLACES[other][0]
    bottom, top = height[room] + HEIGHT / 2, height[other] - HEIGHT / 2
    if other == "optuna_ext":  # straight down: it is wide
        end, top = start, height[other] - DEPTH
    arrow = FancyArrowPatch(
        (start, bottom),
        (end, top),
        arrowstyle="-|>",
        mutation_scale=10,
        color=INK,
        linewidth=1,
        shrinkA=0,
        shrinkB=0,
        zorder=1,
        gid=f"arrow-{room}-{other}",
    )
    axes.add_patch(arrow)


if __name__ == "__main__":
    draw(PICTURE)
