"""Figure 2 and Table 3: layers that start from random weights against the learning rate."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from tlsearch.records.objective import shown as score_shown
from tlsearch.report.page import paper
from tlsearch.report.page.bins import FEWEST, Bin, log_bins, median_of
from tlsearch.report.page.facts import Facts, FineTuned
from tlsearch.report.page.plots import draw_points
from tlsearch.report.page.section import Drawn, Figure, Row, Section, Table
from tlsearch.report.page.settings import best_of
from tlsearch.report.page.style import INK, drawing, legend, log_axis, score_axis
from tlsearch.report.page.words import NOTHING, count, number, trial_rows

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SLUG = "figure-2-layers"
MOST_ROWS = 5  # groups of layers: 0, 1, 2, 3, and all others together
PAPER = (
    "The paper says that the best rate falls as more layers are reinitialised, and that more than "
    "one is best for all its data sets but Cars. Its own Table 3 has exceptions: Aircraft is best "
    "with 1, and Caltech's 0.015 (*) is probably a misprint of 0.0015."
)

Groups = Mapping[str, list[FineTuned]]


def section(facts: Facts) -> Section:
    """Return Table 3 and Figure 2."""
    groups = _groups(facts.fine_tuned)
    bins = log_bins([trial.params.high_lr for trial in facts.fine_tuned])
    return Section(
        "figure-2",
        "Table 3 and Figure 2: layers reinitialised against learning rate",
        words=() if facts.fine_tuned else (NOTHING, PAPER),
        figures=(_figure(facts, groups, bins),) if facts.fine_tuned else (),
        tables=(_table(facts, groups, bins),),
    )


def _groups(trials: Sequence[FineTuned]) -> Groups:
    """Return trials by how many layers they reinitialise, fewest first."""
    found: dict[str, list[FineTuned]] = {}
    for trial in sorted(trials, key=lambda trial: trial.params.reinit_layers):
        n = trial.params.reinit_layers
        found.setdefault(str(n) if n < MOST_ROWS - 1 else f"{MOST_ROWS - 1}+", []).append(trial)
    return found


def _layers(group: str) -> str:
    return f"{group} layer{'s' * (group != '1')}"


def _figure(facts: Facts, groups: Groups, bins: list[Bin]) -> Figure:
    trials = facts.fine_tuned
    caption = (
        f"{count(len(trials), 'trial')}. Above: the median {facts.word} of each field with at "
        f"least {FEWEST} trials; where there are fewer the field is empty and says how many. "
        "Below: each trial. The other knobs vary from trial to trial. " + PAPER
    )
    empty = sum(len(_in_field(t, b)) < FEWEST for t in groups.values() for b in bins)
    alt = (
        f"{facts.title} by learning rate and by number of reinitialised layers, "
        f"{len(groups)} rows by {len(bins)} ranges of rates; {empty} of {len(groups) * len(bins)} "
        "fields have too few trials"
    )
    return Figure(
        SLUG,
        "Figure 2: layers reinitialised against learning rate",
        caption,
        alt,
        _draw(facts, groups, bins),
        trial_rows(trials),
    )


def _draw(facts: Facts, groups: Groups, bins: list[Bin]) -> Drawn:
    height = 0.42 * len(groups) + 0.9
    with drawing(SLUG, height + 3.4, 2, (height, 3.0)) as canvas:
        fields, points = canvas.axes
        log_axis(fields, bins[0].low, bins[-1].high, "")
        _draw_fields(fields, facts, groups, bins)
        log_axis(points, bins[0].low, bins[-1].high, "learning rate (high_lr)")
        score_axis(points, facts.axis)
        for style, (layers, trials) in enumerate(groups.items()):
            rates = [trial.params.high_lr for trial in trials]
            label = f"{_layers(layers)} (n = {len(trials)})"
            draw_points(points, rates, [trial.y for trial in trials], style, label)
        legend(canvas.figure, points, 3)
    return canvas.drawn


def _draw_fields(axes: "Axes", facts: Facts, groups: Groups, bins: Sequence[Bin]) -> None:
    """Draw a field for each range of rates (column) and number of layers (row)."""
    from matplotlib import colormaps
    from matplotlib.patches import Rectangle

    fields = {
        (row, bin_): _in_field(trials, bin_)
        for row, trials in enumerate(groups.values())
        for bin_ in bins
    }
    digits = ".1f" if facts.factor == 100 else ".3f"
    medians = {place: median_of(ys) for place, ys in fields.items()}
    known = [middle for middle in medians.values() if middle is not None]
    low, span = min(known, default=0.0), (max(known, default=1.0) - min(known, default=0.0)) or 1.0
    for (row, bin_), ys in fields.items():
        middle = medians[row, bin_]
        share = None if middle is None else (middle - low) / span
        color = "none" if share is None else colormaps["cividis"](share)
        corner, width = (bin_.low, row - 0.5), bin_.high - bin_.low
        axes.add_patch(Rectangle(corner, width, 1.0, facecolor=color, edgecolor="#888888", lw=0.5))
        text = (
            f"n={len(ys)}" if middle is None else f"{facts.factor * middle:{digits}}\nn={len(ys)}"
        )
        ink = INK if share is None else "#000000" if share > 0.5 else "#ffffff"
        axes.text(
            (bin_.low * bin_.high) ** 0.5,
            row,
            text,
            ha="center",
            va="center",
            fontsize=7.5,
            color=ink,
        )
    axes.set_yticks(range(len(groups)), list(groups))
    axes.set_ylim(len(groups) - 0.5, -0.5)
    axes.set_ylabel("layers reinitialised")
    axes.set_title(f"median {facts.axis}")


def _in_field(trials: Sequence[FineTuned], bin_: Bin) -> list[float]:
    return [trial.score for trial in trials if bin_.holds(trial.params.high_lr)]


def _table(facts: Facts, groups: Groups, bins: Sequence[Bin]) -> Table:
    rows: list[Row] = [paper.HEAD]
    for layers in sorted({*groups, *map(str, paper.LAYERS)}):
        trials = groups.get(layers, [])
        rates, results = paper.LAYERS.get(int(layers.rstrip("+")), (("-",) * 4, ("-",) * 4))
        if layers.endswith("+"):
            rates, results = (("-",) * 4, ("-",) * 4)
        best = best_of(trials)
        rate = number(best.params.high_lr) if best else "-"
        rows.append((f"{_layers(layers)}: best rate", rate, *rates))
        shown = "no trial"
        if best is not None:
            shown = f"{facts.seen(best)} (best of {len(trials)})"
        rows.append((facts.word, shown, *results))
        rows.append(("rates with the best median", _best_field(trials, bins), *("-",) * 4))
    note = (
        "With 0 layers the classifier starts as a linear probe on fixed features; with 1 the "
        "classifier alone starts from random weights, as usual. ± is the standard error by the "
        "validation images; in the paper's columns the standard deviation of four runs, per cent."
    )
    return Table("table-3-layers", "Table 3: the best rate by layers", tuple(rows), note)


def _best_field(trials: Sequence[FineTuned], bins: Sequence[Bin]) -> str:
    found = [(ys, bin_) for bin_ in bins if len(ys := _in_field(trials, bin_)) >= FEWEST]
    medians = [(median_of(ys) or 0.0, len(ys), bin_.label) for ys, bin_ in found]
    if not medians:
        return f"too few trials (fewer than {FEWEST} in each range)"
    middle, n, label = max(medians)
    return f"{label}: {score_shown(trials[0].objective, middle)} (n = {n})"
