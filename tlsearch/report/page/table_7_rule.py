"""Table 7: where the paper's rule agrees with this study's trials."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median

from tlsearch.prior import lr_scale, unfit_weight
from tlsearch.records.format import p_value
from tlsearch.records.objective import ACCURACY
from tlsearch.records.objective import shown as score_shown
from tlsearch.report.measures_table import PAPER, measures_rows
from tlsearch.report.page import paper
from tlsearch.report.page.facts import Facts, FineTuned
from tlsearch.report.page.section import Row, Section, Table
from tlsearch.report.page.settings import (
    FEW_LAYERS,
    NEAR_ONE_RATE,
    PULLED_LAYERS,
    has_low_rates,
    has_new_layers,
    is_pulled,
    weak_alpha,
)
from tlsearch.report.page.words import number

FEWEST = 5  # trials on either side of a comparison
LEVEL = 0.05  # of all four comparisons together (Bonferroni)
_PAPER_CELLS = {
    "Optimal learning rate": ("Low", "Low", "High", "High"),
    "L2-SP": ("Yes", "Yes", "No", "No"),
    "More layers reinitialised": ("Yes", "Yes", "No", "No"),
    "Low layers at a low rate": ("No", "No", "Yes", "Yes"),
}
WORDS = (
    "The paper's rule: where a linear classifier on fixed features beats training from random "
    "weights, the settings of the left columns are best, else those of the right. It rests on four "
    "data sets and one network, and in two of its rows the paper's own best settings (Table 6) do "
    "not follow it: Caltech has 1 new layer, Aircraft 3.",
    "“This study” splits the complete trials in two by each row and compares their accuracies (a "
    "rank test, Mann-Whitney). The trials were not drawn at random, and a search tries more often "
    "what went well, so a difference may come from other knobs.",
)


@dataclass(frozen=True, slots=True)
class Finding:
    """What the trials say of one row of Table 7.

    Attributes:
        row: its name.
        rule: what the paper's rule says of this study; None where it cannot be told.
        found: what the trials say: a word of the table; None where it cannot be told.
        why: medians, numbers of trials and p, or why it cannot be told.
        means: what the words mean here.
    """

    row: str
    rule: str | None
    found: str | None
    why: str
    means: str

    @property
    def verdict(self) -> str:
        """Whether rule and trials agree, in words."""
        if self.rule is None or self.found is None:
            return "cannot be told"
        return "agrees" if self.rule == self.found else "disagrees"


def section(facts: Facts) -> Section:
    """Return Table 7."""
    found = findings(facts)
    rows: list[Row] = [("", "this study", "the rule says", "verdict", *PAPER, "why")]
    rows += _measured(facts)
    for each in found:
        said = (each.found or "cannot be told", each.rule or "cannot be told", each.verdict)
        rows.append((each.row, *said, *_PAPER_CELLS[each.row], each.why))
    agree = [each.verdict for each in found]
    summary = (
        f"Of {len(found)} settings the rule agrees with this study's trials in "
        f"{agree.count('agrees')}, disagrees in {agree.count('disagrees')}, and in "
        f"{agree.count('cannot be told')} it cannot be told."
    )
    note = " ".join(
        [
            "What the words mean here:",
            *(f"{each.row}: {each.means}." for each in found),
            f"p is two-sided; below {LEVEL / len(found):.4g} counts, as four rows are looked at.",
        ]
    )
    table = Table("table-7-rule", "Table 7: the rule and this study", tuple(rows), note)
    title = "Table 7: does the paper's rule hold here?"
    return Section("table-7", title, words=(summary, *WORDS), tables=(table,))


def _measured(facts: Facts) -> list[Row]:
    """Return the measures of Table 7, where they have been taken."""
    if facts.measures is None:
        return []
    shown = {row[0]: row for row in measures_rows(facts.measures)}
    found = []
    for name in ("Fisher score", "EMD similarity", "difference"):
        _, ours, *theirs = shown[name]
        label = "random init. minus fixed features" if name == "difference" else name
        found.append((label, ours, "", "", *theirs, ""))
    return found


def findings(facts: Facts) -> list[Finding]:
    """Compare the rule with the trials, row by row."""
    rule, space = _rule(facts), facts.study.space
    scale, _ = lr_scale(
        facts.study.spec.prior,
        facts.study.spec.recipe,
        facts.measures.lr_range if facts.measures else None,
    )
    border = scale / 10**0.5  # half way, in decades, between the two columns' rates
    layers = max(1, round(FEW_LAYERS * facts.n_body))
    pulled = max(1, round(PULLED_LAYERS * facts.n_body))
    rows: list[tuple[str, Callable[[FineTuned], bool], tuple[str, str], str]] = [
        (
            "Optimal learning rate",
            lambda trial: trial.params.high_lr < border,
            ("Low", "High"),
            f"low: below {number(border)}; the highest useful rate is about {number(scale)}",
        ),
        (
            "L2-SP",
            is_pulled(space),
            ("Yes", "No"),
            f"yes: alpha of {weak_alpha(space):g} or more on {pulled} layers or more",
        ),
        (
            "More layers reinitialised",
            has_new_layers,
            ("Yes", "No"),
            "yes: 2 or more, the classifier among them; trials from the linear probe, which have "
            "none and which the paper has not, are left out",
        ),
        (
            "Low layers at a low rate",
            has_low_rates(space),
            ("Yes", "No"),
            f"yes: {layers} layers or more at {NEAR_ONE_RATE:g} of the high rate or less",
        ),
    ]
    found = []
    from_random = [t for t in facts.fine_tuned if t.params.reinit_layers > 0]
    for row, is_so, words, means in rows:
        trials = from_random if is_so is has_new_layers else facts.fine_tuned
        said, why = _compare(trials, is_so, words, LEVEL / len(rows))
        found.append(Finding(row, rule[row] if rule else None, said, why, means))
    return found


def _rule(facts: Facts) -> dict[str, str] | None:
    """Return the column that the measures speak for; None where they do not decide."""
    measures = facts.measures
    if measures is None or measures.fit is None or measures.fit_error is None:
        return None
    unfit = unfit_weight(measures.fit, measures.fit_error)
    if unfit < 0.25:
        return paper.FIT_COLUMN
    return paper.UNFIT_COLUMN if unfit > 0.75 else None


def _compare(
    trials: Sequence[FineTuned],
    is_so: Callable[[FineTuned], bool],
    words: tuple[str, str],
    level: float,
) -> tuple[str | None, str]:
    """Return the word of the better side, or None, and why."""
    sides = ([t.score for t in trials if is_so(t)], [t.score for t in trials if not is_so(t)])
    objective = trials[0].objective if trials else ACCURACY
    counts = ", ".join(f"{w.lower()}: n = {len(s)}" for w, s in zip(words, sides, strict=True))
    if min(map(len, sides)) < FEWEST:
        return None, f"too few trials ({counts})"
    from scipy.stats import mannwhitneyu

    p = float(mannwhitneyu(*sides).pvalue)
    shown = ", ".join(
        f"{word.lower()}: median {score_shown(objective, median(side))}, n = {len(side)}"
        for word, side in zip(words, sides, strict=True)
    )
    why = f"{shown}; {p_value(p)}"
    if not p < level:
        return None, why
    greater = float(mannwhitneyu(*sides, alternative="greater").pvalue)
    return words[0 if greater < 0.5 else 1], why
