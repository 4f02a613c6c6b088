"""The finalists over several seeds: their runs, spread, and comparison with the baselines."""

from tlsearch.records.finals import Finalist, Finals
from tlsearch.records.objective import (
    attr,
    axis_label,
    figure_of,
    gain_unit,
    plot_factor,
    signed_gain,
    words,
)
from tlsearch.report.page.facts import Facts
from tlsearch.report.page.plots import Dot, draw_dots
from tlsearch.report.page.section import Drawn, Figure, Row, Section, Table
from tlsearch.report.page.style import drawing
from tlsearch.report.page.words import count, exact, mean_sd, settings

SLUG = "finalists"


def section(facts: Facts) -> Section:
    """Return the finalists, or how to get them."""
    finals, title = facts.extras.finals, "Finalists over several seeds"
    if finals is None or not any(each.runs for each in finals.finalists):
        missing = (
            "No finalist has been trained over several seeds yet. That tells a good setting from a "
            "lucky trial; this command does it, and then this section has a table and a figure."
        )
        return Section(
            "finalists", title, (missing,), commands=(f"tlsearch finalists {facts.name}",)
        )
    words = [finals.why] if finals.why else []
    if not finals.complete:
        words.append("Not all planned runs have ended, so nothing is compared yet.")
    return Section(
        "finalists",
        title,
        words=tuple(words),
        figures=(_figure(finals),),
        tables=(_runs(facts, finals), *([_compared(finals)] if finals.comparisons else [])),
    )


def _figure(finals: Finals) -> Figure:
    word = words(finals.objective)
    caption = (
        f"Validation {word} of each finalist: the mean of its seeds, one standard deviation to "
        "either side, and each run as a tick. The paper gives its results as mean and standard "
        "deviation of four runs."
    )
    data: list[Row] = [("finalist", "kind", "trial", "seed", attr(finals.objective), "seconds")]
    for each in finals.finalists:
        for run in each.runs:
            figure = exact(figure_of(finals.objective, run.score))
            cells = (str(run.trial), str(run.seed), figure, exact(run.seconds))
            data.append((each.name, each.kind, *cells))
    listed = "; ".join(f"{each.name} {_mean(each, finals)}" for each in finals.finalists)
    return Figure(SLUG, "Finalists", caption, f"Finalists: {listed}", _draw(finals), tuple(data))


def _draw(finals: Finals) -> Drawn:
    styles = {"candidate": 0, "default": 1, "fixed_features": 2, "mean": 0}
    dots = []
    for each in finals.finalists:
        if each.mean is not None:
            low, high = (
                (None, None) if each.sd is None else (each.mean - each.sd, each.mean + each.sd)
            )
            runs = [run.score for run in each.runs]
            label = f"{each.name}\n(n = {len(runs)})"
            dots.append(Dot(label, each.mean, low, high, runs, styles[each.kind]))
    with drawing(SLUG, 0.55 * len(dots) + 0.8) as canvas:
        objective = finals.objective
        draw_dots(canvas.axes, dots, axis_label(objective), plot_factor(objective))
    return canvas.drawn


def _runs(facts: Facts, finals: Finals) -> Table:
    rows: list[Row] = [("finalist", "mean ± s.d.", "runs", "settings", "")]
    for each in finals.finalists:
        marks = [
            word
            for word, name in (("winner", finals.winner), ("recommended", finals.recommended))
            if name == each.name
        ]
        chosen = settings(each.params.canonical(facts.n_body)) if each.params else "-"
        runs = f"{len(each.runs)} of {each.planned}"
        rows.append((each.name, _mean(each, finals), runs, chosen, ", ".join(marks)))
    return Table("finalists", "Finalists", tuple(rows), "On validation images.")


def _compared(finals: Finals) -> Table:
    objective = finals.objective
    rows: list[Row] = [
        (
            "winner against",
            f"gain,{gain_unit(objective)}".rstrip(","),
            "95 % interval",
            "p",
            "n",
            "clear?",
        )
    ]
    for each in finals.comparisons:
        gain, low, high = (signed_gain(objective, v) for v in (each.gain, each.low, each.high))
        interval = f"{low} to {high}"
        clear = "yes" if each.is_clear else "no"
        numbers = (gain, interval, f"{each.p_value:.2g}", str(each.n_seeds))
        rows.append((each.baseline, *numbers, clear))
    note = f"Paired by seed; {count(len(finals.comparisons), 'comparison')}."
    return Table("finalists-compared", "The winner against the baselines", tuple(rows), note)


def _mean(each: Finalist, finals: Finals) -> str:
    return mean_sd([run.score for run in each.runs], finals.objective) if each.runs else "-"
