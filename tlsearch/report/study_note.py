"""A study's note for optuna-dashboard, in Markdown."""

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tlsearch.prior import DISAGREEMENT
from tlsearch.records import (
    DEPTHS,
    HYPERPARAMETER_NAMES,
    MEASURES_SUFFIX,
    Answer,
    Controls,
    Measures,
    Prior,
    Range,
    TrialRecord,
    answer_words,
    lead_sentence,
    size_sentence,
)
from tlsearch.records.format import points, val_percent
from tlsearch.records.objective import (
    ACCURACY,
    Objective,
    is_minimised,
    shown_gain,
    shown_with_sd,
    val_words,
    words,
)
from tlsearch.records.objective import shown as shown_score
from tlsearch.report.budget import budget_sentence
from tlsearch.report.measures_table import meaning, measures_rows
from tlsearch.report.rising import Rising, rising_sentence
from tlsearch.store.stored_study import StoredStudy

TOP = 5  # best trials that are listed


@dataclass(frozen=True)
class StudyFacts:
    """The facts in a note.

    Attributes:
        study: its spec and what it was created with.
        ranges: its search space.
        controls: its state and budget now.
        counts: number of trials by state.
        default: the plain default; None until it is complete.
        best: the best complete trials.
        measures: None where they have not been taken.
        unmeasured: why they could not be taken; None where that did not happen.
        prior: None where there is none.
        fixed_features: the floor; None until it is complete, or without one.
        answer: the recommended one; None before a trial is complete.
        rising: how the best trials' curves rise at their end; None where it cannot be told.
    """

    study: StoredStudy
    ranges: Mapping[str, Range]
    controls: Controls
    counts: Mapping[str, int]
    default: TrialRecord | None
    best: Sequence[TrialRecord]
    measures: Measures | None
    unmeasured: str | None
    prior: Prior | None
    rising: Rising | None = None
    fixed_features: TrialRecord | None = None
    answer: Answer | None = None


def study_note(facts: StudyFacts) -> str:
    """Return the note of a study."""
    name = facts.study.name
    if name.endswith(MEASURES_SUFFIX):
        measured = _plain(name.removesuffix(MEASURES_SUFFIX))
        what = "Trains the network from random weights, for the measures of study"
        return f"{what} **{measured}**; the note of that study has the result.\n"
    if facts.study.family_of is not None:
        search = facts.study.family_of.name
        what = f"Trains again what study **{_plain(search)}** found"
        return f"{what}; `tlsearch finalists {shlex.quote(search)}` shows what came of it.\n"
    sections = [_intent(facts), _standing(facts), _measured(facts)]
    if facts.prior is not None:
        sections.append(_prior(facts.prior, facts.ranges))
    own = "tlsearch updates this note until you edit it; after that it does not change it."
    return "\n\n".join([*sections, _commands(facts), f"*{own}*"]) + "\n"


def _intent(facts: StudyFacts) -> str:
    study, spec = facts.study, facts.study.spec
    n_classes = len(study.data.class_names)
    fixed = [f"`{name}` = {r.low:g}" for name, r in facts.ranges.items() if r.fixed]
    return (
        "### What is searched\n\n"
        f"Fine-tunes **{_plain(spec.backbone.model)}** (weights `{_code(spec.backbone.weights)}`) "
        f"on `{_code(spec.data.path)}`: {n_classes} classes, {_images(study)}; "
        f"{spec.recipe.epochs} epochs per trial at {spec.recipe.image_size} pixels. "
        f"{_budget(facts.controls)} {_value(spec.objective)}"
        + (f" Fixed: {', '.join(fixed)}." if fixed else "")
    )


def _images(study: StoredStudy) -> str:
    data, folds = study.data, study.spec.data.folds
    if folds:
        return f"{data.n_val} images to train and to validate in {folds} folds"
    return f"{data.n_train} images to train and {data.n_val} to validate"


def _value(objective: Objective) -> str:
    if objective == ACCURACY:
        return "The value of a trial is its `val_accuracy`, a fraction, after the last epoch."
    negated = " times -1, so that larger is better" if is_minimised(objective) else ""
    return (
        f"The value of a trial is its {words(objective)} on the validation images after the last "
        f"epoch{negated}; its `val_accuracy` is among its attributes."
    )


def _budget(controls: Controls) -> str:
    sentence = budget_sentence(controls, used=False)
    return f"{sentence[0].upper()}{sentence[1:]}."


def _standing(facts: StudyFacts) -> str:
    ended = {state: facts.counts.get(state, 0) for state in ("complete", "pruned", "fail")}
    default = "is not complete" if facts.default is None else f"has **{_val(facts.default)}**"
    lines = [
        "### Best trials",
        "",
        f"{sum(ended.values())} of {facts.controls.trials} trials are done: {ended['complete']} "
        f"complete, {ended['pruned']} pruned, {ended['fail']} failed. "
        f"The plain fine-tuning default {default}." + _floor(facts.fixed_features),
    ]
    if facts.controls.why is not None:
        lines[-1] += f" No trial runs now: {_plain(facts.controls.why)}."
    if facts.best:
        lines += ["", *_table(_best_rows(facts.best))]
        lines += ["", f"The best of many trials looks better than it is: {_precision(facts)}."]
        lines[-1] += " “Expected” is what a trial should reach on new images, by all trials."
    if facts.answer is not None:
        lines += ["", f"**Recommended:** {_plain(answer_words(facts.answer))}."]
        if not_clear := lead_sentence(facts.answer.lead):
            lines[-1] += f" {not_clear[0].upper()}{_plain(not_clear[1:])}."
    if longer := rising_sentence(facts.rising):
        lines[-1] += f" {longer[0].upper()}{_plain(longer[1:])}."
    return "\n".join(lines)


def _val(trial: TrialRecord) -> str:
    return val_words(trial.objective, trial.score, trial.val_accuracy)


def _floor(fixed_features: TrialRecord | None) -> str:
    if fixed_features is None:
        return ""
    return f" Fixed features alone have **{_val(fixed_features)}**."


def _best_rows(best: Sequence[TrialRecord]) -> list[list[str]]:
    objective = best[0].objective
    seen = ["validation", "expected"]
    if objective != ACCURACY:
        seen = [words(objective), "expected", "accuracy"]
    rows = [["trial", *seen, *HYPERPARAMETER_NAMES, "origin"]]
    for trial in best:
        values = trial.params.as_dict().values() if trial.params else []
        shown = [f"{value:.3g}" for value in values] or ["-"] * len(HYPERPARAMETER_NAMES)
        expected = shown_with_sd(objective, trial.expected_score, trial.expected_score_sd)
        figures = [val_percent(trial.val_accuracy, trial.train_on), expected]
        if objective != ACCURACY:
            figures = [shown_score(objective, trial.score), expected, figures[0]]
        rows.append([str(trial.number), *figures, *shown, _plain(trial.origin or "-")])
    return rows


def _precision(facts: StudyFacts) -> str:
    """Say how precise a figure on the validation images is: its standard error."""
    n, best = facts.study.data.n_val, facts.best[0]
    if best.own is not None:
        known = best.own.error
        error = "unknown" if known is None else shown_gain(best.objective, known)
        what = f"its {words(best.objective)} has a standard error of {error}"
        return f"with {n} validation images, {what}"
    p = min(max(facts.best[0].val_accuracy or 0.0, 1 / (n + 2)), 1 - 1 / (n + 2))
    error = points((p * (1 - p) / n) ** 0.5)
    return f"with {n} validation images, an accuracy has a standard error of about {error}"


def _measured(facts: StudyFacts) -> str:
    title = "### How well the pretrained weights fit\n\n"
    if facts.measures is not None:
        table = "\n".join(_table(measures_rows(facts.measures)))
        size = size_sentence(
            facts.measures.sizes, facts.study.spec.recipe.for_evaluation().image_size
        )
        said = f" {size[0].upper()}{_plain(size[1:])}." if size else ""
        return f"{title}{meaning(facts.measures, facts.prior)}{said}\n\n{table}"
    if facts.study.spec.measures.when == "off":
        return f'{title}Not measured, because the spec says `measures.when = "off"`.'
    if facts.unmeasured is not None:
        return f"{title}Could not be measured: {_plain(facts.unmeasured)}."
    return f"{title}Not measured yet: the first worker does it before its first trial."


def _prior(prior: Prior, ranges: Mapping[str, Range]) -> str:
    rows = [["hyperparameter", "mode", "spread", "opposite", "moved by", "why"]]
    for name, belief in prior.beliefs.items():
        unit = "layers" if name in DEPTHS else "decades"
        spread = "fixed" if ranges[name].fixed else f"{belief.spread:.2g} {unit}"
        numbers = [f"{belief.mode:.3g}", spread, f"{belief.opposite:.3g}"]
        rows.append([f"`{name}`", *numbers, _plain(belief.moved_by), _plain(belief.rule)])
    widened = f", widened by {prior.disagreement:.2f} because the Fisher score disagrees"
    lines = [
        "### Where the search starts, and why",
        "",
        f"Weight of “the pretrained weights do not fit”: {prior.unfit:.2f}"
        + (widened if prior.disagreement > DISAGREEMENT else "")
        + f". Highest useful learning rate: {prior.lr_scale:.2g} ({_plain(prior.lr_scale_from)}).",
    ]
    return "\n".join([*lines, "", *_table(rows)])


def _commands(facts: StudyFacts) -> str:
    name = shlex.quote(facts.study.name)
    raised = 2 * facts.controls.trials
    lines = {
        f"tlsearch worker {name}": "run trials, in any number of processes and machines",
        f"tlsearch best {name} --top {TOP}": "the best trials",
        f"tlsearch report {name} --out report": "all figures and tables on one page, in report/",
        f"tlsearch pause {name}": "release running trials; tlsearch resume continues",
        f"tlsearch budget {name} --trials {raised}": "change the budget",
        f"tlsearch enqueue {name} --set high_lr=0.02": "queue a trial of your own",
        f"tlsearch prior {name}": "show the whole prior",
        "tlsearch db psql": "query with SQL",
    }
    width = max(map(len, lines))
    shown = "\n".join(f"{command:<{width}}  # {what}" for command, what in lines.items())
    where = "with `TLSEARCH_STORAGE` set to this database, or on this machine without it"
    return f"### Next commands\n\n{where[0].upper()}{where[1:]}:\n\n```sh\n{shown}\n```"


def _table(rows: Sequence[Sequence[str]]) -> list[str]:
    """Return a Markdown table; a wide space after each cell, because the dashboard adds none."""
    lines = ["|" + "".join(f" {cell}\u2003|" for cell in row) for row in rows]
    n_columns = lines[0].count("\u2003|")
    return [lines[0], "|" + "---|" * n_columns, *lines[1:]]


def _plain(text: str) -> str:
    """Return text that Markdown shows as it is, also in one cell of a table."""
    escaped = "".join(f"\\{c}" if c in r"\`*_{}[]<>#|~" else c for c in text)
    return " ".join(escaped.split())


def _code(text: str) -> str:
    """Return text for use between backticks."""
    return " ".join(text.replace("`", "'").split())
