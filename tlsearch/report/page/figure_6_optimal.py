"""Figure 6 and Table 6: the best settings beside the default."""

from tlsearch.records import FIXED_FEATURES, TrialRecord
from tlsearch.records.objective import shown
from tlsearch.report.page import paper
from tlsearch.report.page.facts import Facts, FineTuned
from tlsearch.report.page.plots import Dot, draw_dots
from tlsearch.report.page.section import Drawn, Figure, Row, Section, Table
from tlsearch.report.page.settings import best_of, has_one_rate, is_pulled_whole
from tlsearch.report.page.style import drawing
from tlsearch.report.page.words import count, exact, mean_sd, settings

SLUG = "figure-6-optimal"
PAPER = (
    "In the paper the whole space gains 0.3 to 1.6 points over one tuned rate: 0.83 for Caltech, "
    "1.60 for DTD, 0.27 for Cars, 0.72 for Aircraft, with 0.05 to 0.7 points between repetitions."
)


def section(facts: Facts) -> Section:
    """Return Table 6 and Figure 6."""
    dots = _dots(facts)
    return Section(
        "figure-6",
        "Table 6 and Figure 6: the best settings beside the default",
        words=tuple(_warning(facts)),
        figures=(_figure(facts, dots),) if dots else (),
        tables=(_table(facts),),
    )


def _warning(facts: Facts) -> list[str]:
    if facts.extras.finals is not None and facts.extras.finals.complete:
        return []
    return [
        "Nothing here is trained over several seeds yet, so the best trial's figure is the best of "
        f"{count(len(facts.fine_tuned), 'single trial')} and too good. The section on finalists "
        "says how to train the best ones and the baselines again."
    ]


def _dots(facts: Facts) -> list[Dot]:
    found: list[Dot] = []
    names = {FIXED_FEATURES: "fixed features", "default": "plain default"}
    for style, (origin, label) in enumerate(names.items()):
        baseline = facts.of_origin(origin)
        if baseline is not None and baseline.score is not None:
            error = None if baseline.own is None else baseline.own.error
            found.append(_dot(facts, label, baseline.score, error, style + 1))
    best = best_of(facts.fine_tuned)
    whole = is_pulled_whole(facts.study.space)
    kinds = {
        "best, one rate": best_of([t for t in facts.fine_tuned if has_one_rate(t)]),
        "best, L2-SP on all": best_of([t for t in facts.fine_tuned if whole(t)]),
        "best of all": best,
    }
    for style, (label, trial) in enumerate(kinds.items()):
        if trial is not None:
            named = f"{label}\n(trial {trial.number})"
            found.append(_dot(facts, named, trial.score, trial.error, (5, 3, 0)[style]))
    expected = next((t for t in facts.trials if best and t.number == best.number), None)
    if expected is not None and expected.expected_score is not None:
        value, sd = expected.expected_score, expected.expected_score_sd or 0.0
        found.append(Dot("the same, expected\non new images", value, value - sd, value + sd))
    return found


def _dot(facts: Facts, label: str, score: float, error: float | None, style: int) -> Dot:
    known = facts.error_of(score, error)
    if known is None:
        return Dot(label, score, style=style)
    return Dot(label, score, score - known, score + known, style=style)


def _figure(facts: Facts, dots: list[Dot]) -> Figure:
    caption = (
        f"Single trials on {facts.n_val} validation images, with one standard error of each "
        f"figure; “best” is the best of the trials of that kind, {len(facts.fine_tuned)} in all, "
        "and is flattered by that. " + PAPER
    )
    listed = "; ".join(f"{_line(dot.label)} {shown(facts.objective, dot.value)}" for dot in dots)
    data = [("what", facts.head, "low", "high")]
    data += [(_line(dot.label), *_cells(facts, dot)) for dot in dots]
    return Figure(
        SLUG,
        "Figure 6: best settings and baselines",
        caption,
        f"Validation {facts.word}: {listed}",
        _draw(facts, dots),
        tuple(data),
    )


def _draw(facts: Facts, dots: list[Dot]) -> Drawn:
    with drawing(SLUG, 0.52 * len(dots) + 0.8) as canvas:
        draw_dots(canvas.axes, dots, facts.axis, facts.factor)
    return canvas.drawn


def _cells(facts: Facts, dot: Dot) -> tuple[str, str, str]:
    """Return value, lower and upper end in the unit of the objective."""
    value, one, other = (facts.figure(each) for each in (dot.value, dot.low, dot.high))
    low, high = (one, other) if one is None or other is None else sorted((one, other))
    return exact(value), exact(low), exact(high)


def _line(label: str) -> str:
    return label.replace("\n", " ")


def _table(facts: Facts) -> Table:
    none = ("-",) * 4
    default, best = facts.of_origin("default"), best_of(facts.fine_tuned)
    whole = is_pulled_whole(facts.study.space)
    pulled = [trial for trial in facts.fine_tuned if whole(trial)]
    with_l2sp = best_of(pulled)
    rows: list[Row] = [paper.HEAD]
    plain = default.params.canonical(facts.n_body) if default and default.params else None
    rows.append(("default settings", settings(plain) if plain else "-", *paper.DEFAULT_RATE))
    rows.append(("default result", _seen(facts, default), *paper.L2_RESULT))
    result = _best(facts, with_l2sp, len(pulled))
    rows.append(("best with L2-SP on all", result, *paper.WHOLE_L2SP_RESULT))
    rows.append(("optimal settings", settings(best.params) if best else "-", *paper.OPTIMAL))
    result = _best(facts, best, len(facts.fine_tuned))
    rows.append(("optimal result", result, *paper.OPTIMAL_RESULT))
    rows.append(("the same over seeds", _winner(facts), *none))
    rows.append(("ensemble, 10-crop, test", _ensemble(facts), *paper.ENSEMBLE_RESULT))
    note = (
        "The paper's figures are on test images, per cent, the mean of four runs; its default is "
        "one rate that was tuned, ours is the plain one. ± as in Table 3."
    )
    return Table("table-6-optimal", "Table 6: optimal against default", tuple(rows), note)


def _seen(facts: Facts, trial: TrialRecord | None) -> str:
    return "-" if trial is None else facts.seen(trial)


def _best(facts: Facts, trial: FineTuned | None, n: int) -> str:
    return "no trial" if trial is None else f"{facts.seen(trial)} (best of {n})"


def _winner(facts: Facts) -> str:
    finals = facts.extras.finals
    if finals is None or finals.winner is None:
        return "not trained yet"
    runs = [run.score for run in finals.finalist(finals.winner).runs]
    return f"{mean_sd(runs, facts.objective)} ({finals.winner}, {count(len(runs), 'seed')})"


def _ensemble(facts: Facts) -> str:
    for look in facts.extras.tests[:1]:  # the first look is the honest one
        for figure in look.figures:
            if figure.finalist == look.answer and figure.prediction == "ensemble, 10-crop":
                return f"{100 * figure.mean:.1f} % (n = {look.n_test})"
    return "not tested yet"
