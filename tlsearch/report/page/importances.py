"""Which knobs mattered, as Optuna estimates it."""

import random
from collections.abc import Mapping, Sequence
from statistics import fmean

from tlsearch.records import DEPTHS, HYPERPARAMETER_NAMES
from tlsearch.report.importances import shares_of
from tlsearch.report.page.facts import Facts, FineTuned
from tlsearch.report.page.section import Drawn, Figure, Section
from tlsearch.report.page.style import BLUE, INK, drawing
from tlsearch.report.page.words import exact

SLUG = "importances"
FEWEST = 30  # trials: with fewer, halves of them (below) contradict each other
HALVES = 10


def section(facts: Facts) -> Section:
    """Return Optuna's importances, or a sentence where there are too few trials."""
    title = "Which knobs mattered"
    trials = facts.fine_tuned
    if len(trials) < FEWEST or len({trial.score for trial in trials}) < 2:
        few = (
            f"Importances are not shown: {len(trials)} complete trials with settings of their own "
            f"are too few to estimate them from (at least {FEWEST}, of different results)."
        )
        return Section("importances", title, words=(few,))
    found, halves = _importance(facts, trials), _of_halves(facts, trials)
    if not found:
        fixed = "All knobs are fixed in this study, so none can matter more than another."
        return Section("importances", title, words=(fixed,))
    order = sorted(found, key=lambda name: -found[name])
    caption = (
        f"How much each knob tells good trials from others (PED-ANOVA, Optuna's own measure, as "
        f"shares of 1), by {len(trials)} complete trials. Ticks: the same of {HALVES} random "
        "halves of them; where they spread widely the order means little. A knob that the search "
        "soon settled may seem unimportant. The paper has no such figure."
    )
    listed = ", ".join(f"{name} {found[name]:.2f}" for name in order)
    head = ("knob", "importance", *(f"half_{i}" for i in range(1, HALVES + 1)))
    rows = [(name, exact(found[name]), *(exact(h.get(name)) for h in halves)) for name in order]
    figure = Figure(
        SLUG,
        "Importances",
        caption,
        f"Importances: {listed}",
        _draw(order, found, halves),
        (head, *rows),
    )
    return Section("importances", title, figures=(figure,))


def _of_halves(facts: Facts, trials: Sequence[FineTuned]) -> list[Mapping[str, float]]:
    drawn = random.Random(0)
    halves = [drawn.sample(list(trials), len(trials) // 2) for _ in range(HALVES)]
    return [found for half in halves if (found := _importance(facts, half))]


def _importance(facts: Facts, trials: Sequence[FineTuned]) -> Mapping[str, float]:
    """Return shares of 1 by knob, of those that vary; empty where none does or none matters."""
    from optuna.distributions import BaseDistribution, FloatDistribution, IntDistribution
    from optuna.importance import PedAnovaImportanceEvaluator
    from optuna.trial import create_trial

    raw = {t.number: t.params.as_dict() for t in facts.trials if t.params}
    values = {name: [raw[t.number][name] for t in trials] for name in HYPERPARAMETER_NAMES}
    distributions: dict[str, BaseDistribution] = {}
    for name, found in values.items():
        low, high = min(found), max(found)
        if low < high:
            distributions[name] = (
                IntDistribution(int(low), int(high))
                if name in DEPTHS
                else FloatDistribution(low, high, log=low > 0)
            )
    if not distributions:
        return {}
    made = [
        create_trial(
            params={name: raw[trial.number][name] for name in distributions},
            distributions=distributions,
            value=trial.score,
        )
        for trial in trials
    ]
    return shares_of(made, PedAnovaImportanceEvaluator())


def _draw(
    order: Sequence[str], found: Mapping[str, float], halves: Sequence[Mapping[str, float]]
) -> Drawn:
    with drawing(SLUG, 0.36 * len(order) + 0.8) as canvas:
        axes = canvas.axes
        places = range(len(order))
        axes.barh(places, [found[name] for name in order], color=BLUE, height=0.55)
        for place, name in enumerate(order):
            xs = [half[name] for half in halves if name in half]
            axes.plot(xs, [place] * len(xs), "|", color=INK, ms=8, mew=1.0)
            mean = fmean(xs) if xs else found[name]
            axes.annotate(
                f"{found[name]:.2f}",
                (max([found[name], mean, *xs]), place),
                xytext=(5, 0),
                textcoords="offset points",
                va="center",
                fontsize=8.5,
            )
        axes.set_yticks(places, list(order))
        axes.invert_yaxis()
        axes.margins(x=0.12)
        axes.set_xlabel("importance, share of 1")
        axes.grid(axis="x")
    return canvas.drawn
