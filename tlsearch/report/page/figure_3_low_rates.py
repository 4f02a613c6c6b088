"""Figure 3 and Table 4: lower learning rates for the lower layers."""

from collections.abc import Sequence

from tlsearch.report.page import paper
from tlsearch.report.page.bins import FEWEST, depth_bins
from tlsearch.report.page.facts import Facts, FineTuned
from tlsearch.report.page.plots import Series, draw_series
from tlsearch.report.page.section import Drawn, Figure, Row, Section, Table
from tlsearch.report.page.settings import best_of
from tlsearch.report.page.style import drawing, legend, score_axis
from tlsearch.report.page.words import NOTHING, count, number, trial_rows

SLUG = "figure-3-low-rates"
RATIOS = (
    ("half to all of the high rate", 0.5, 1.0),
    ("a fifth to half", 0.2, 0.5),
    ("less than a fifth", 0.0, 0.2),
)
PAPER = (
    "The paper finds lower rates for lower layers better where the weights do not fit and the best "
    "rate is high (Cars, Aircraft), and not where they fit."
)


def section(facts: Facts) -> Section:
    """Return Table 4 and Figure 3."""
    return Section(
        "figure-3",
        "Table 4 and Figure 3: lower rates for lower layers",
        words=() if facts.fine_tuned else (NOTHING, PAPER),
        figures=(_figure(facts),) if facts.fine_tuned else (),
        tables=(_table(facts),),
    )


def _figure(facts: Facts) -> Figure:
    trials = facts.fine_tuned
    one = sum(trial.params.low_layers == 0 for trial in trials)
    caption = (
        f"{count(len(trials), 'trial')}, {one} of them with one rate for all layers (at 0). Each "
        "point is a trial, by how many layers from the input have the low rate, and marked by what "
        "share of the high rate that is. A bar is the median of a quarter of the network with at "
        f"least {FEWEST} trials of one kind; n counts trials, and a bold n is too few. The other "
        "knobs vary from trial to trial. " + PAPER
    )
    kinds = ", ".join(f"{label}: {len(found)}" for label, found, _ in _kinds(trials))
    return Figure(
        SLUG,
        "Figure 3: low rates and low layers",
        caption,
        f"Validation {facts.word} by number of layers at the low rate. Trials: {kinds}",
        _draw(facts),
        trial_rows(trials),
    )


def _kinds(trials: Sequence[FineTuned]) -> list[tuple[str, list[FineTuned], int]]:
    one = [trial for trial in trials if trial.params.low_layers == 0]
    kinds = [("one rate", one, 4)]
    for style, (label, low, high) in enumerate(RATIOS):
        found = [t for t in trials if t.params.low_layers and low < t.params.low_lr_ratio <= high]
        kinds.append((label, found, style))
    return kinds


def _draw(facts: Facts) -> Drawn:
    most = facts.n_body
    with drawing(SLUG, 4.1) as canvas:
        axes = canvas.axes
        axes.set_xlim(-0.7, most + 0.7)
        axes.set_xlabel(f"layers at the low rate, of {most} (low_layers)")
        score_axis(axes, facts.axis)
        series = []
        for label, found, style in _kinds(facts.fine_tuned):
            xs = [trial.params.low_layers + 0.14 * (style - 1) * (style < 3) for trial in found]
            series.append(Series(label, xs, [trial.y for trial in found], style))
        draw_series(axes, [each for each in series if each.xs], depth_bins(most))
        axes.xaxis.get_major_locator().set_params(integer=True)
        legend(canvas.figure, axes)
    return canvas.drawn


def _table(facts: Facts) -> Table:
    default = facts.of_origin("default")
    shown = "-" if default is None else facts.seen(default)
    rows: list[Row] = [paper.HEAD, (f"default {facts.word}", shown, *paper.DEFAULT_RESULT)]
    for layers, (rates, results) in paper.LOW_RATES.items():
        low = [t for t in facts.fine_tuned if _is_of(t, layers) and t.params.low_layers]
        one = [t for t in facts.fine_tuned if _is_of(t, layers) and not t.params.low_layers]
        new = "0 or 1 new layer" if layers == 1 else f"{layers} new layers"
        rows.append((f"{new}: rates", _rates(best_of(low)), *rates))
        rows.append((facts.word, _best(facts, low), *results))
        rows.append(("one rate, the same layers", _best(facts, one), *("-",) * 4))
    note = (
        "Rates: the high one, the low one, number of low layers. The best of n trials grows with "
        "n, so compare figures of like n. ± as in Table 3."
    )
    return Table("table-4-low-rates", "Table 4: two learning rates", tuple(rows), note)


def _is_of(trial: FineTuned, layers: int) -> bool:
    """Whether it belongs to a row: with 1 also those whose classifier starts as a probe."""
    return max(1, trial.params.reinit_layers) == layers


def _rates(trial: FineTuned | None) -> str:
    if trial is None:
        return "-"
    p = trial.params
    return f"{number(p.high_lr)}, {number(p.low_lr)}, {p.low_layers}"


def _best(facts: Facts, trials: Sequence[FineTuned]) -> str:
    best = best_of(trials)
    if best is None:
        return "no trial"
    return f"{facts.seen(best)} (best of {len(trials)})"
