"""The course of the search: the best trial so far, over the seconds that trials took."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from tlsearch.records import FIXED_FEATURES, TrialRecord
from tlsearch.records.objective import shown
from tlsearch.report.page.facts import Facts
from tlsearch.report.page.plots import draw_points
from tlsearch.report.page.section import Drawn, Figure, Section
from tlsearch.report.page.style import BLUE, GREEN, ORANGE, drawing, legend, score_axis
from tlsearch.report.page.words import count, exact

SLUG = "course"
_UNITS = ((2 * 3600.0, 3600.0, "hours"), (300.0, 60.0, "minutes"), (0.0, 1.0, "seconds"))
_KINDS = (("complete", 0), ("pruned", 1), ("fail", 4))
_WORDS = {"fail": "failed"}


@dataclass(frozen=True, slots=True)
class Step:
    """A trial that ended, in the order of the ends.

    Attributes:
        trial: the trial.
        seconds: that all trials took up to its end, summed over workers.
        best: the best complete score up to here; None before the first.
    """

    trial: TrialRecord
    seconds: float
    best: float | None


def section(facts: Facts) -> Section:
    """Return the search's course."""
    steps = course(facts)
    title = "The course of the search"
    if not steps:
        return Section("course", title, words=("No trial has ended yet.",))
    n = len([step for step in steps if step.trial.state == "complete"])
    caption = (
        f"{count(len(steps), 'ended trial')}, {n} of them complete, in the order in which they "
        "ended; the line is the best complete trial so far. The x axis is the training time of all "
        "trials, summed over workers. Pruned and failed trials are shown at their last epoch. Of "
        "the paper's searches only the results are known, not their course."
    )
    last = steps[-1]
    reached = shown(facts.objective, last.best)
    alt = f"Best validation {facts.word} so far by training time; at the end {reached}"
    head = ("trial", "state", "origin", "seconds_so_far", facts.head, "best_so_far")
    rows = [
        (
            str(step.trial.number),
            step.trial.state,
            step.trial.origin or "",
            exact(step.seconds),
            exact(facts.figure(step.trial.score)),
            exact(facts.figure(step.best)),
        )
        for step in steps
    ]
    figure = Figure(SLUG, "Best so far", caption, alt, _draw(facts, steps), (head, *rows))
    return Section("course", title, figures=(figure,))


def course(facts: Facts) -> list[Step]:
    """Return the ended trials by their ends, with the time and the best so far."""
    ended = [trial for trial in facts.trials if trial.state in {state for state, _ in _KINDS}]
    never = datetime.max
    ended.sort(key=lambda trial: (facts.ended.get(trial.number, never), trial.number))
    steps: list[Step] = []
    seconds, best = 0.0, None
    for trial in ended:
        seconds += trial.seconds or 0.0
        if trial.state == "complete" and trial.score is not None:
            best = trial.score if best is None else max(best, trial.score)
        steps.append(Step(trial, seconds, best))
    return steps


def _draw(facts: Facts, steps: Sequence[Step]) -> Drawn:
    unit, name = next((u, name) for least, u, name in _UNITS if steps[-1].seconds >= least)
    with drawing(SLUG, 4.0) as canvas:
        axes = canvas.axes
        for state, style in _KINDS:
            of_state = [s for s in steps if s.trial.state == state and s.trial.score]
            if of_state:
                xs = [step.seconds / unit for step in of_state]
                ys = [facts.factor * (step.trial.score or 0.0) for step in of_state]
                label = f"{_WORDS.get(state, state)} (n = {len(of_state)})"
                draw_points(axes, xs, ys, style, label, faint=state != "complete")
        known = [step for step in steps if step.best is not None]
        if known:
            xs = [step.seconds / unit for step in known]
            best = [facts.factor * (step.best or 0.0) for step in known]
            axes.step(xs, best, where="post", color=BLUE, lw=1.8, label="best so far")
        for origin, label, color, dashes in (
            (FIXED_FEATURES, "fixed features", GREEN, (6, 3)),
            ("default", "plain default", ORANGE, (2, 2)),
        ):
            found = facts.of_origin(origin)
            if found is not None and found.score is not None:
                level = facts.factor * found.score
                axes.axhline(level, color=color, lw=1.6, dashes=dashes, label=label)
        axes.set_xlabel(f"{name} of training, all workers together")
        score_axis(axes, facts.axis)
        legend(canvas.figure, axes)
    return canvas.drawn
