"""Learning curves of all trials, with those that were pruned."""

import math
from collections.abc import Sequence

from tlsearch.report.page.facts import Facts
from tlsearch.report.page.section import Drawn, Figure, Row, Section
from tlsearch.report.page.settings import best_of
from tlsearch.report.page.style import (
    BLUE,
    GREEN,
    INK,
    MANY_POINTS,
    ORANGE,
    drawing,
    legend,
    score_axis,
)
from tlsearch.report.page.words import count, exact

SLUG = "learning-curves"
MOST_CURVES = 200  # of the complete and as many of the pruned trials: more cannot be told apart


def section(facts: Facts) -> Section:
    """Return the learning curves."""
    title = "Learning curves"
    complete = _numbers(facts, "complete")
    pruned = _numbers(facts, "pruned")
    if not complete and not pruned:
        return Section("curves", title, words=("No trial has reported an epoch yet.",))
    shown = _every(complete), _every(pruned)
    some = sum(map(len, shown)) < len(complete) + len(pruned)
    caption = (
        f"{count(len(complete), 'complete trial')} and {len(pruned)} that were pruned, each up to "
        "its last epoch"
        + (
            f"; {len(shown[0])} and {len(shown[1])} of them are drawn, evenly chosen"
            if some
            else ""
        )
        + ". A cross is where a trial was pruned. The paper shows no learning curves."
    )
    best = best_of(facts.fine_tuned)
    n = f"{len(complete)} complete and {len(pruned)} pruned trials"
    alt = f"Validation {facts.word} by epoch of {n}"
    rows: list[Row] = [("trial", "state", "epoch", facts.head)]
    for state, numbers in (("complete", complete), ("pruned", pruned)):
        for number in numbers:
            for epoch, score in enumerate(facts.curves[number], 1):
                figure = exact(facts.figure(score))
                rows.append((str(number), state, str(epoch), figure))
    drawn = _draw(facts, *shown, best.number if best else None)
    title_of = f"{facts.title} by epoch"
    drawing_of = Figure(SLUG, title_of, caption, alt, drawn, tuple(rows))
    return Section("curves", title, figures=(drawing_of,))


def _numbers(facts: Facts, state: str) -> list[int]:
    """Return the trials of a state that have curves, by number; not those that copied theirs."""
    return [
        trial.number
        for trial in facts.trials
        if trial.state == state and facts.curves.get(trial.number) and trial.duplicate_of is None
    ]


def _every(numbers: Sequence[int]) -> list[int]:
    n = len(numbers)
    return (
        [numbers[i * n // MOST_CURVES] for i in range(MOST_CURVES)]
        if n > MOST_CURVES
        else [*numbers]
    )


def _draw(facts: Facts, complete: Sequence[int], pruned: Sequence[int], best: int | None) -> Drawn:
    with drawing(SLUG, 3.9) as canvas:
        axes = canvas.axes
        many = len(complete) + len(pruned) > MANY_POINTS / 4
        for numbers, color, label in (
            (complete, BLUE, "complete"),
            (pruned, ORANGE, "pruned"),
        ):
            for place, number in enumerate(numbers):
                xs, ys = _points(facts, facts.curves[number])
                axes.plot(
                    xs,
                    ys,
                    color=color,
                    lw=0.8,
                    alpha=0.45,
                    marker="." if len(xs) == 1 else None,
                    label=f"{label} (n = {len(numbers)})" if place == 0 else None,
                    rasterized=many,
                )
                if label == "pruned" and xs:
                    axes.plot(xs[-1:], ys[-1:], "x", color=color, ms=5, mew=1.3)
        default = facts.of_origin("default")
        for chosen, color, dashes, label in (
            (default.number if default else None, GREEN, (3, 1.5), "plain default"),
            (best, INK, (1, 0), f"best: trial {best}"),
        ):
            if chosen is not None and facts.curves.get(chosen):
                xs, ys = _points(facts, facts.curves[chosen])
                axes.plot(xs, ys, color=color, lw=2.2, dashes=dashes, label=label)
        axes.set_xlabel("epoch")
        axes.xaxis.get_major_locator().set_params(integer=True)
        score_axis(axes, facts.axis)
        legend(canvas.figure, axes)
    return canvas.drawn


def _points(facts: Facts, curve: Sequence[float]) -> tuple[list[int], list[float]]:
    """Return epochs and scores as on the axis; what is not finite makes a gap."""
    ys = [facts.factor * y if math.isfinite(y) else math.nan for y in curve]
    return list(range(1, len(ys) + 1)), ys
