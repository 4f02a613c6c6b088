"""`tlsearch status` and `best`: where a study stands."""

import shlex
from contextlib import suppress
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tlsearch.cli.display import (
    answer_as_json,
    answer_lines,
    console,
    print_json,
    rising_as_json,
    status_as_json,
    trial_as_json,
    trials_lines,
)
from tlsearch.cli.finals_table import finals_as_json, finals_line
from tlsearch.cli.options import Json, Storage, StudyName
from tlsearch.errors import StudyError
from tlsearch.records import size_sentence
from tlsearch.records.format import duration
from tlsearch.records.objective import (
    ACCURACY,
    Objective,
    attr,
    is_minimised,
    shown_with_sd,
    val_words,
)
from tlsearch.report.budget import budget_sentence, pace_sentence
from tlsearch.report.range_ends import range_end_sentence
from tlsearch.report.rising import rising_sentence

if TYPE_CHECKING:
    from tlsearch.records import StudyStatus, TrialRecord
    from tlsearch.records.finals import Finals
    from tlsearch.spec import StudySpec
    from tlsearch.studies.read import StudyReader


EXPECTED = (
    "as seen, a lucky figure for the best of many; expected: what a trial should"
    " reach on new images, ± its standard deviation"
)


class By(StrEnum):
    """What trials are ranked by."""

    SEEN = "seen"
    EXPECTED = "expected"


def status(study: StudyName, storage: Storage = None, as_json: Json = False) -> None:
    """Show where a study stands."""
    from tlsearch.studies.read import StudyReader

    reader = StudyReader(study, storage)
    found = reader.status()
    if as_json:
        more: dict[str, Any] = {"measured": reader.measured(), "unmeasured": reader.unmeasured()}
        more |= {"rising": rising_as_json(reader.rising())}
        more["answer"] = answer_as_json(reader.answer())
        finals = _finals(reader)
        more["finals"] = finals and finals_as_json(finals)
        print_json(status_as_json(found) | more)
        return
    console.print("\n".join(_lines(found)))
    for line in answer_lines(reader.answer()):
        console.print(f"  {line}")
    if finals := _finals(reader):
        console.print(f"  {finals_line(finals)}")
    if longer := rising_sentence(reader.rising()):
        console.print(f"  {longer}")
    spec = reader.study.spec
    if spec.measures.when != "off" and not reader.measured():
        console.print(f"  {_unmeasured_line(study, reader.unmeasured())}")
    elif size := _size_sentence(reader):
        console.print(f"  {size}")
    for trial in found.running:
        console.print(_running_line(trial, spec))


def best(
    study: StudyName,
    storage: Storage = None,
    top: Annotated[int, typer.Option(min=1, metavar="K", help="How many trials.")] = 1,
    answer: Annotated[
        bool, typer.Option("--answer", help="The recommended answer and its model files alone.")
    ] = False,
    by: Annotated[
        By, typer.Option(help="Rank by the objective that was seen, or by the expected one.")
    ] = By.SEEN,
    as_json: Json = False,
) -> None:
    """Show the best complete trials, and the recommended answer."""
    from tlsearch.studies.read import StudyReader

    reader = StudyReader(study, storage)
    found = reader.best(top, by=by.value)
    if answer and as_json:
        print_json(answer_as_json(reader.answer()))
    elif answer and found:
        console.print("\n".join(answer_lines(reader.answer(), reader.models_place())))
    elif as_json:
        print_json([trial_as_json(trial) for trial in found])
    elif found:
        recommended = answer_lines(reader.answer(), reader.models_place())
        legend = _legend(found[0].objective)
        console.print("\n".join([*trials_lines(found), legend, *recommended]))
        if finals := _finals(reader):
            console.print(finals_line(finals))
        if longer := rising_sentence(reader.rising()):
            console.print(longer)
        if reader.study.family_of is None:
            for end in reader.range_ends():
                console.print(range_end_sentence(end, study))
        console.print("\n".join(_next_lines(reader)))
    else:
        console.print(
            f"no trial of study {study!r} is complete yet; run tlsearch worker {shlex.quote(study)}"
        )


def _legend(objective: "Objective") -> str:
    if objective == ACCURACY:
        return f"{attr(objective)}: {EXPECTED}"
    way = "smaller" if is_minimised(objective) else "larger"
    return f"{attr(objective)}: the objective, {way} is better; {EXPECTED}"


def _finals(reader: "StudyReader") -> "Finals | None":
    """Return the finalists; those of another study of the name are said by `finalists` alone."""
    with suppress(StudyError):
        return reader.finals()
    return None


def _next_lines(reader: "StudyReader") -> list[str]:
    """Return what may be typed next."""
    status, rising, spec = reader.status(), reader.rising(), reader.study.spec
    name = shlex.quote(reader.study.name)
    found: dict[str, str] = {}
    if status.controls.over:
        found[f"tlsearch budget {name} --trials {2 * status.budget_trials}"] = "go on with it"
        if reader.study.family_of is None:
            found[f"tlsearch finalists {name}"] = "the best ones over several seeds, compared"
            found[f"tlsearch knobs {name}"] = "which knob paid"
    else:
        left = max(0, status.budget_trials - status.ended)
        found[f"tlsearch worker {name}"] = f"run the other trials ({left} left)"
    like = f"tlsearch create --from {name} --set recipe"
    if rising is not None and rising.beyond_noise:
        found[f"{like}.epochs={rising.epochs_to_try}"] = "the same images for longer"
    size = min(1024, 16 * round(spec.recipe.image_size * 1.5 / 16))
    if size > spec.recipe.image_size:
        found[f"{like}.image_size={size}"] = "the same images at another size"
    found["tlsearch dashboard"] = "curves, confused classes and importances in a browser"
    width = max(map(len, found))
    return ["next:", *(f"  {command:<{width}}  {what}" for command, what in found.items())]


def _lines(found: "StudyStatus") -> list[str]:
    lines = [f"{found.name}: {found.ended} of {found.budget_trials} trials done"]
    lines.append(f"  {budget_sentence(found.controls, used=True)}")
    if found.controls.why:
        lines.append(f"  {found.controls.why}")
    lines.append("  " + ", ".join(f"{n} {state}" for state, n in found.counts.items() if n))
    if found.floor is not None and found.floor.score is not None:
        lines.append(f"  fixed features alone {_val(found.floor)}")
    lines.append(f"  plain fine-tuning default {_val(found.default)}")
    if found.best:
        best = found.best
        lines.append(f"  best {_val(best)} (trial {best.number})")
        if best.expected_score is not None:
            expected = (best.expected_score, best.expected_score_sd)
            lines[-1] += f", expected {shown_with_sd(best.objective, *expected)}"
    lines.append(f"  training time {duration(found.train_seconds)}")
    if pace := pace_sentence(found):
        lines.append(f"  {pace}")
    return lines


def _val(trial: "TrialRecord | None") -> str:
    if trial is None:
        return "-"
    return val_words(trial.objective, trial.score, trial.val_accuracy)


def _size_sentence(reader: "StudyReader") -> str | None:
    spec = reader.study.spec
    if not spec.measures.sizes or not reader.measured():
        return None
    return size_sentence(reader.measures().sizes, spec.recipe.for_evaluation().image_size)


def _unmeasured_line(study: str, why: str | None) -> str:
    measure = f"tlsearch measure {shlex.quote(study)}"
    if why is None:
        return f"not measured yet: run {measure}, or a worker"
    return f"could not be measured, the search has no prior ({why}); fix that and run {measure}"


def _running_line(trial: "TrialRecord", spec: "StudySpec") -> str:
    where = f"on {trial.worker}" if trial.worker else "in a program other than tlsearch"
    line = f"  trial {trial.number} runs {where}, epoch {trial.epochs} done,"
    line += f" val {_val(trial)}"
    silent = trial.silent_seconds
    if silent is not None and silent >= spec.workers.stalled_after_seconds:
        line += f"; no heartbeat for {duration(silent)}, the next worker takes it over"
    return line
