"""Figure 1 and Table 2: accuracy by learning rate, where all layers have about the same."""

from collections.abc import Sequence

from tlsearch.records.objective import shown
from tlsearch.report.page import paper
from tlsearch.report.page.bins import FEWEST, Bin, log_bins, median_of
from tlsearch.report.page.facts import Facts, FineTuned
from tlsearch.report.page.plots import Series, draw_series
from tlsearch.report.page.section import Drawn, Figure, Row, Section, Table
from tlsearch.report.page.settings import best_of, has_one_rate, is_plain
from tlsearch.report.page.style import drawing, legend, log_axis, score_axis
from tlsearch.report.page.words import NOTHING, count, mean_sd, number, trial_rows

SLUG = "figure-1-single-rates"
PAPER = (
    "The paper finds the best single rate ten times lower where the weights fit (Caltech, DTD) "
    "than where they do not (Cars, Aircraft)."
)


def section(facts: Facts) -> Section:
    """Return Table 2 and Figure 1."""
    near = [trial for trial in facts.fine_tuned if has_one_rate(trial)]
    bins = log_bins([trial.params.high_lr for trial in facts.fine_tuned])
    return Section(
        "figure-1",
        "Table 2 and Figure 1: one learning rate for all layers",
        words=() if facts.fine_tuned else (NOTHING, PAPER),
        figures=(_figure(facts, near, bins),) if facts.fine_tuned else (),
        tables=(_table(facts, near, bins),),
    )


def _figure(facts: Facts, near: Sequence[FineTuned], bins: list[Bin]) -> Figure:
    all_trials = facts.fine_tuned
    caption = (
        f"Each point is one trial; {len(near)} of {len(all_trials)} gave all layers about the same "
        "rate (the low one at least half of the high one, or no low layers) and are "
        f"filled. A bar is the median of a range of rates with at least {FEWEST} of them; n counts "
        "them, and a bold n is too few. The other knobs vary from trial to trial. " + PAPER
    )
    return Figure(
        SLUG,
        f"Figure 1: {facts.word} by learning rate",
        caption,
        f"Validation {facts.word} of {count(len(all_trials), 'trial')} by learning rate; "
        + _best_bin(near, bins),
        _draw(facts, near, bins),
        trial_rows(all_trials),
    )


def _draw(facts: Facts, near: Sequence[FineTuned], bins: list[Bin]) -> Drawn:
    plain = [trial for trial in near if is_plain(trial)]
    rest = [trial for trial in facts.fine_tuned if not has_one_rate(trial)]
    almost = [trial for trial in near if not is_plain(trial)]
    with drawing(SLUG, 3.9) as canvas:
        axes = canvas.axes
        log_axis(axes, bins[0].low, bins[-1].high, "learning rate (high_lr)")
        score_axis(axes, facts.axis)
        series = [
            _series("two rates", rest, 5, faint=True),
            _series("about one rate", almost, 0),
            _series("plain fine-tuning", plain, 4),
        ]
        together = _series("", near, 0)
        draw_series(axes, [each for each in series if each.xs], bins, together)
        legend(canvas.figure, axes)
    return canvas.drawn


def _series(label: str, trials: Sequence[FineTuned], style: int, faint: bool = False) -> Series:
    rates = [trial.params.high_lr for trial in trials]
    return Series(label, rates, [trial.y for trial in trials], style, faint)


def _medians(near: Sequence[FineTuned], bins: Sequence[Bin]) -> list[tuple[float, int, Bin]]:
    rates, scores = [t.params.high_lr for t in near], [t.score for t in near]
    found = [(bin_.of(rates, scores), bin_) for bin_ in bins]
    medians = [(median_of(ys), len(ys), bin_) for ys, bin_ in found]
    return [(middle, n, bin_) for middle, n, bin_ in medians if middle is not None]


def _best_bin(near: Sequence[FineTuned], bins: Sequence[Bin]) -> str:
    medians = _medians(near, bins)
    if not medians:
        return f"no range of rates has {FEWEST} trials with one rate"
    middle, n, best = max(medians, key=lambda found: found[0])
    return f"{best.label}: median {shown(near[0].objective, middle)} (n = {n})"


def _table(facts: Facts, near: Sequence[FineTuned], bins: Sequence[Bin]) -> Table:
    best, none = best_of(near), ("-",) * 4
    default = facts.of_origin("default")
    rate = default.params.high_lr if default and default.params else None
    rows: list[Row] = [
        paper.HEAD,
        ("plain default: rate", number(rate), *none),
        (f"plain default: {facts.word}", _default(facts), *none),
        ("best rate", number(best.params.high_lr) if best else "-", *paper.DEFAULT_RATE),
        (
            facts.word,
            facts.seen(best) if best else "-",
            *(f"{figure} %" for figure in paper.DEFAULT_RESULT),
        ),
        ("trials with one rate", str(len(near)), *none),
        ("rates with the best median", _best_bin(near, bins), *none),
    ]
    note = (
        "This study's figures are on validation images, ± their standard error, and the best is "
        "the best of n single trials; the paper's are on test images, ± the standard deviation of "
        "four runs at rates that were tuned for it."
    )
    return Table("table-2-single-rates", "Table 2: one learning rate", tuple(rows), note)


def _default(facts: Facts) -> str:
    for finalist in facts.extras.finals.finalists if facts.extras.finals else ():
        if finalist.kind == "default" and finalist.runs:
            runs = [run.score for run in finalist.runs]
            return f"{mean_sd(runs, facts.objective)} ({count(len(runs), 'seed')})"
    default = facts.of_origin("default")
    if default is None:
        return "not complete"
    return facts.seen(default)
