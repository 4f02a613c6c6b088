"""Figures 4 and 5 and Table 5: decay toward the pretrained weights (L2-SP)."""

from collections.abc import Sequence

from tlsearch.report.page import paper
from tlsearch.report.page.bins import FEWEST, Bin, depth_bins, log_bins
from tlsearch.report.page.facts import Facts, FineTuned
from tlsearch.report.page.plots import Series, draw_series
from tlsearch.report.page.section import Drawn, Figure, Row, Section, Table
from tlsearch.report.page.settings import best_of, is_pulled_whole, weak_alpha
from tlsearch.report.page.style import drawing, legend, log_axis, score_axis
from tlsearch.report.page.words import NOTHING, count, number, trial_rows

STRENGTH, DEPTH = "figure-4-l2sp-strength", "figure-5-l2sp-layers"
PAPER = (
    "The paper finds L2-SP on all layers better than plain L2 for Caltech and for DTD, and worse "
    "for Cars and Aircraft; and L2-SP on the lower layers with L2 on the others best for all but "
    "Caltech. In general, it says, a lower alpha is better where the weights do not fit."
)


def section(facts: Facts) -> Section:
    """Return Table 5 and Figures 4 and 5."""
    return Section(
        "figure-4",
        "Table 5, Figures 4 and 5: L2-SP",
        words=() if facts.fine_tuned else (NOTHING, PAPER),
        figures=(_strength(facts), _depth(facts)) if facts.fine_tuned else (),
        tables=(_table(facts),),
    )


def _parts(facts: Facts) -> tuple[list[FineTuned], list[FineTuned], list[FineTuned]]:
    """Return the trials with L2-SP on all kept layers, on some, and on none."""
    whole = is_pulled_whole(facts.study.space)
    pulled = [trial for trial in facts.fine_tuned if trial.params.l2sp_layers]
    return (
        [trial for trial in pulled if whole(trial)],
        [trial for trial in pulled if not whole(trial)],
        [trial for trial in facts.fine_tuned if not trial.params.l2sp_layers],
    )


def _strength(facts: Facts) -> Figure:
    whole, some, none = _parts(facts)
    caption = (
        f"{count(len(facts.fine_tuned), 'trial')} by the strength of L2-SP: on all layers that "
        f"keep their weights (n = {len(whole)}, the usual way), on the lower ones alone (n = "
        f"{len(some)}), and plain L2 (n = {len(none)}, at the left). A bar is the median of a "
        f"range with at least {FEWEST} trials of one kind; n counts trials, and a bold n is too "
        "few. The other knobs vary from trial to trial. " + PAPER
    )
    return Figure(
        STRENGTH,
        "Figure 4: the strength of L2-SP",
        caption,
        f"Validation {facts.word} by alpha; {len(whole)} trials with L2-SP on all layers, "
        f"{len(some)} on some, {len(none)} on none",
        _draw_strength(facts, whole, some, none),
        trial_rows(facts.fine_tuned),
    )


def _draw_strength(
    facts: Facts, whole: Sequence[FineTuned], some: Sequence[FineTuned], none: Sequence[FineTuned]
) -> Drawn:
    bins = log_bins([t.params.alpha for t in [*whole, *some] if t.params.alpha > 0]) or [
        Bin(1e-4, 1e-3, "")
    ]
    zero = Bin(bins[0].low / 6, bins[0].low, "no L2-SP")
    middle = (zero.low * zero.high) ** 0.5
    with drawing(STRENGTH, 3.9) as canvas:
        axes = canvas.axes
        log_axis(axes, zero.low, bins[-1].high, "strength of L2-SP (alpha)")
        score_axis(axes, facts.axis)
        series = [
            _series("plain L2", none, [middle] * len(none), 4),
            _series("on all layers", whole, [t.params.alpha or middle for t in whole], 0),
            _series("on lower layers", some, [t.params.alpha or middle for t in some], 1),
        ]
        draw_series(axes, [each for each in series if each.xs], [zero, *bins])
        at = [tick for tick in axes.get_xticks() if tick >= bins[0].low]
        axes.set_xticks([middle, *at], ["none", *(f"{tick:g}" for tick in at)])
        legend(canvas.figure, axes)
    return canvas.drawn


def _depth(facts: Facts) -> Figure:
    caption = (
        f"The same {count(len(facts.fine_tuned), 'trial')} by how many layers from the input are "
        "under L2-SP instead of L2, marked by alpha; bars, n and what else varies as in Figure 4. "
        "The paper's Figure 5 sets the best L2-SP on all layers beside the best on some: some were "
        "better for all but Caltech."
    )
    kinds = ", ".join(f"{label}: {len(found)}" for label, found, _ in _alphas(facts))
    return Figure(
        DEPTH,
        "Figure 5: layers under L2-SP",
        caption,
        f"Validation {facts.word} by number of layers under L2-SP. Trials: {kinds}",
        _draw_depth(facts),
        trial_rows(facts.fine_tuned),
    )


def _alphas(facts: Facts) -> list[tuple[str, list[FineTuned], int]]:
    weak = weak_alpha(facts.study.space)
    ends = [("weak", 0.0, weak), ("middle", weak, 10 * weak), ("strong", 10 * weak, 1e9)]
    found = [("plain L2", _parts(facts)[2], 4)]
    for style, (word, low, high) in enumerate(ends):
        label = {0: f"alpha below {high:g}", 1: f"{low:g} to {high:g}", 2: f"{low:g} and more"}
        of_kind = [t for t in facts.fine_tuned if t.params.l2sp_layers and _in(t, low, high)]
        found.append((f"{word}: {label[style]}", of_kind, style))
    return found


def _in(trial: FineTuned, low: float, high: float) -> bool:
    return low <= trial.params.alpha < high


def _draw_depth(facts: Facts) -> Drawn:
    with drawing(DEPTH, 4.1) as canvas:
        axes = canvas.axes
        axes.set_xlim(-0.7, facts.n_body + 0.7)
        axes.set_xlabel(f"layers under L2-SP, of {facts.n_body} (l2sp_layers)")
        score_axis(axes, facts.axis)
        series = []
        for label, found, style in _alphas(facts):
            shift = 0.14 * (style - 1) * (style < 3)
            xs = [trial.params.l2sp_layers + shift for trial in found]
            series.append(_series(label, found, xs, style))
        draw_series(axes, [each for each in series if each.xs], depth_bins(facts.n_body))
        axes.xaxis.get_major_locator().set_params(integer=True)
        legend(canvas.figure, axes)
    return canvas.drawn


def _series(label: str, trials: Sequence[FineTuned], xs: Sequence[float], style: int) -> Series:
    return Series(label, xs, [trial.y for trial in trials], style)


def _table(facts: Facts) -> Table:
    whole, some, none = _parts(facts)
    one_new = [t for t in [*whole, *some] if t.params.reinit_layers <= 1]
    groups = (
        ("L2", none, ("-",) * 4, paper.L2_RESULT),
        (
            "L2-SP on all, 1 new layer",
            [t for t in whole if t.params.reinit_layers <= 1],
            paper.WHOLE_L2SP,
            paper.WHOLE_L2SP_RESULT,
        ),
        ("best L2-SP, 1 new layer", one_new, paper.PART_L2SP, paper.PART_L2SP_RESULT),
        ("best L2-SP overall", [*whole, *some], paper.BEST_L2SP, paper.BEST_L2SP_RESULT),
    )
    rows: list[Row] = [paper.HEAD]
    for name, trials, theirs, results in groups:
        best = best_of(trials)
        rows.append((f"{name}: settings", _strengths(best), *theirs))
        shown = "no trial"
        if best is not None:
            shown = f"{facts.seen(best)} (best of {len(trials)})"
        rows.append(("result", shown, *results))
    note = (
        "Settings: alpha, beta, layers under L2-SP. 1 new layer: the classifier (or none, where it "
        "starts as a probe). The best of n trials "
        "grows with n, so compare figures of like n. ± as in Table 3."
    )
    return Table("table-5-l2sp", "Table 5: L2-SP and L2", tuple(rows), note)


def _strengths(trial: FineTuned | None) -> str:
    if trial is None:
        return "-"
    p = trial.params
    if not p.l2sp_layers:
        return f"-, {number(p.beta)}, 0"
    return f"{number(p.alpha)}, {number(p.beta)}, {p.l2sp_layers}"
