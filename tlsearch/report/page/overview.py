"""The top of the page: what the study found, and of what it consists."""

from tlsearch.records import FIXED_FEATURES, TrialRecord, answer_words, lead_sentence
from tlsearch.records.format import percent
from tlsearch.records.objective import ACCURACY, is_minimised, shown_with_sd, val_words
from tlsearch.report.budget import budget_sentence
from tlsearch.report.page.facts import Facts
from tlsearch.report.page.section import Row, Section, Table
from tlsearch.report.page.settings import best_of
from tlsearch.report.page.words import count, settings, shown_name

FLOOR = "a linear classifier on fixed features"


def section(facts: Facts) -> Section:
    """Return the summary."""
    return Section(
        "summary",
        "What this study found",
        words=tuple(_words(facts)),
        tables=(_results(facts), _made_of(facts)),
    )


def _words(facts: Facts) -> list[str]:
    words = []
    if facts.objective != ACCURACY:
        way = "smaller" if is_minimised(facts.objective) else "larger"
        words.append(
            f"This study makes {facts.word} best, and its figures are of that: {way} is better. "
            "The paper's are accuracies."
        )
    if facts.study.spec.data.multi_label:
        words.append(
            "An image may have several labels, or none. Accuracy is the share of images all of "
            "whose labels are right."
        )
    if facts.answer is not None:
        words.append(f"Recommended: {answer_words(facts.answer)}.")
        if lead := lead_sentence(facts.answer.lead):
            words[-1] += f" {lead[0].upper()}{lead[1:]}."
    if (finals := facts.extras.finals) is not None and finals.why:
        words.append(f"By finalists over several seeds: {finals.why}")
    if len(facts.fine_tuned) > 1:
        words.append(
            f"The best of {count(len(facts.fine_tuned), 'trial')} looks better than it is, because "
            f"it was chosen for a figure that chance had a part in. With {facts.n_val} validation "
            f"images the standard error of one {facts.word} is what stands behind ±."
        )
    if facts.controls.why is not None:
        words.append(f"State: {facts.controls.why}.")
    return words


def _results(facts: Facts) -> Table:
    rows: list[Row] = [("", f"validation {facts.word}", "expected on new images", "settings")]
    floor, default = facts.of_origin(FIXED_FEATURES), facts.of_origin("default")
    if floor is not None:
        rows.append(("fixed features", _seen(facts, floor), "-", FLOOR))
    best = best_of(facts.fine_tuned)
    numbers = {
        "plain fine-tuning default": default.number if default else None,
        "best trial": best.number if best else None,
    }
    of_number = {trial.number: trial for trial in facts.trials}
    for name, number in numbers.items():
        record = of_number.get(number) if number is not None else None
        if record is None or record.params is None or record.score is None:
            continue
        expected = shown_with_sd(facts.objective, record.expected_score, record.expected_score_sd)
        canonical = settings(record.params.canonical(facts.n_body))
        shown = f"{name} ({record.number})"
        rows.append((shown, _seen(facts, record), expected, canonical))
    note = "“Expected on new images” is what a trial should reach by all trials of the study."
    return Table("results", "In short", tuple(rows), note)


def _made_of(facts: Facts) -> Table:
    study, spec = facts.study, facts.study.spec
    versions = ", ".join(f"{name} {v}" for name, v in sorted(study.provenance.versions.items()))
    counts = [("train", study.data.n_train), ("validation", study.data.n_val)]
    if spec.data.folds:
        counts = [(f"in {spec.data.folds} folds", study.data.n_val)]
    images = ", ".join(f"{n} {name}" for name, n in [*counts, ("test", study.data.n_test)])
    recipe = spec.recipe
    rows = (
        ("", "this study"),
        ("images", f"{shown_name(str(spec.data.path))}: {images}"),
        ("classes", _classes(study.data.class_names)),
        ("network", f"{shown_name(spec.backbone.model)}, {facts.n_body} body layers"),
        ("weights", shown_name(str(spec.backbone.weights))),
        ("training", f"{recipe.epochs} epochs at {recipe.image_size} pixels, {recipe.optimizer}"),
        ("trials", _trials(facts)),
        ("budget", budget_sentence(facts.controls, used=False).removeprefix("budget: ")),
        ("plain default", _plain_default(facts)),
        ("created with", versions),
        ("spec hash", study.spec_hash),
    )
    return Table("study", "The study", rows)


def _classes(names: tuple[str, ...], most: int = 12) -> str:
    listed = ", ".join(shown_name(name, 30) for name in names[:most])
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return f"{len(names)}: {listed}{more}"


def _trials(facts: Facts) -> str:
    complete, tuned = len(facts.complete), len(facts.fine_tuned)
    return (
        f"{len(facts.trials)}, of them {complete} complete; {tuned} of these fine-tuned the "
        "network with settings of their own, and the figures show them"
    )


def _plain_default(facts: Facts) -> str:
    found = facts.of_origin("default")
    return "-" if found is None else val_words(facts.objective, found.score, found.val_accuracy)


def _seen(facts: Facts, trial: TrialRecord) -> str:
    """Return the score, and the accuracy beside it where that is another figure."""
    text = facts.seen(trial)
    if facts.objective == ACCURACY:
        return text
    return f"{text} (accuracy {percent(trial.val_accuracy)})"
