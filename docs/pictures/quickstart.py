"""Draws the quickstart's trials: `python docs/pictures/quickstart.py`.

The figures are a real run's. `--record` reads them anew from the study `quickstart` in the database
that `tlsearch` uses, and writes them into `quickstart.json` beside this file.
"""

import argparse
import json
from pathlib import Path
from typing import Any

from matplotlib import pyplot as plt
from matplotlib.axes import Axes

HERE = Path(__file__).parent
FIGURES = HERE / "quickstart.json"
QUERY = (
    "SELECT trial, state, val_accuracy, epochs, origin FROM tlsearch.trials_flat"
    " WHERE study = 'quickstart' ORDER BY trial"
)
BLUE, ORANGE, GREY = "#1f5fa8", "#c8641b", "#6b7280"

Trial = dict[str, Any]

plt.rcParams["svg.hashsalt"] = "tlsearch"  # the same ids each time it is drawn


def record() -> None:
    """Write what the database holds of the study into a file, a trial a line."""
    import sqlalchemy as sa

    from tlsearch.store.connect import open_storage

    with open_storage(None).engine.connect() as connection:
        trials = [dict(row._mapping) for row in connection.execute(sa.text(QUERY))]
    lines = ",\n".join(json.dumps(trial) for trial in trials)
    FIGURES.write_text(f"[\n{lines}\n]\n")


def draw(path: Path) -> None:
    """Draw the accuracy of each trial and the best complete one so far."""
    trials = json.loads(FIGURES.read_text())
    figure, axes = plt.subplots(figsize=(8, 3.3), layout="constrained")
    _draw_default(axes, trials)
    _draw_best(axes, trials)
    _draw_trials(axes, trials)
    axes.set_xlabel("trial")
    axes.set_ylabel("validation accuracy, %")
    axes.set_xticks([trial["trial"] for trial in trials])
    axes.margins(x=0.03, y=0.12)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(loc="lower right", frameon=False, fontsize=9)
    figure.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None)


def _draw_default(axes: Axes, trials: list[Trial]) -> None:
    (default,) = [trial for trial in trials if trial["origin"] == "default"]
    accuracy = 100 * default["val_accuracy"]
    axes.axhline(accuracy, color=ORANGE, linestyle="--", linewidth=1.2)
    axes.annotate(
        f"plain fine-tuning default: {accuracy:.1f} %",
        (0.2, accuracy),
        (0, -13),
        textcoords="offset points",
        color=ORANGE,
    )


def _draw_best(axes: Axes, trials: list[Trial]) -> None:
    best = [
        max(100 * t["val_accuracy"] for t in trials[: n + 1] if t["state"] == "complete")
        for n in range(len(trials))
    ]
    axes.step(range(len(trials)), best, where="post", color=BLUE, linewidth=2, zorder=1)
    axes.annotate(
        f"best so far: {best[-1]:.1f} %",
        (4.2, best[-1]),
        (0, 5),
        textcoords="offset points",
        color=BLUE,
    )


def _draw_trials(axes: Axes, trials: list[Trial]) -> None:
    looks = (("complete", "complete", BLUE, BLUE), ("pruned", "stopped early", "white", GREY))
    for state, label, face, edge in looks:
        chosen = [trial for trial in trials if trial["state"] == state]
        axes.scatter(
            [trial["trial"] for trial in chosen],
            [100 * trial["val_accuracy"] for trial in chosen],
            s=30,
            facecolor=face,
            edgecolor=edge,
            zorder=2,
            label=label,
        )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--record", action="store_true", help="read the figures anew")
    if parser.parse_args().record:
        record()
    draw(FIGURES.with_suffix(".svg"))
