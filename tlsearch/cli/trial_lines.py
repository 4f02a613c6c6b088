"""A trial's progress as lines of text: of this process, and of a launcher's workers."""

from tlsearch.records import StudyStatus, reason_line
from tlsearch.records.format import duration
from tlsearch.records.objective import ACCURACY, Objective, score_of, shown, val_words


def claimed_line(number: int, attempt: int) -> str:
    """Return the line of a trial that begins."""
    again = f" (attempt {attempt})" if attempt > 1 else ""
    return f"trial {number}{again} begins"


def val_text(
    objective: Objective, figure: float | None, accuracy: float | None, train_on: str
) -> str:
    """Return what a trial shows on the validation images: `91.2 %`.

    Args:
        objective: of its study.
        figure: of the objective, in its own unit.
        accuracy: top-1, a fraction.
        train_on: what it is trained on.
    """
    score = None if figure is None else score_of(objective, figure)
    return val_words(objective, score, accuracy, train_on)


def epoch_line(number: int, epoch: int, epochs: int | None, val: str) -> str:
    """Return the line of an epoch that ended; `epochs` is how many the trial has in all."""
    of = f"/{epochs}" if epochs else ""
    return f"trial {number}  epoch {epoch}{of}  val {val}"


def ended_line(
    number: int,
    state: str,
    *,
    reason_kind: str | None,
    reason: str | None,
    duplicate_of: int | None,
    epochs: int,
    val: str,
    seconds: float | None,
) -> str:
    """Return the line of a trial that ended."""
    how = state if state != "fail" else f"failed ({reason_line(reason_kind, reason)})"
    if duplicate_of is not None:
        how = f"same as trial {duplicate_of}"
    return f"trial {number} {how:<8} {epochs} epochs  val {val}  in {duration(seconds)}"


def standing_best(status: StudyStatus) -> tuple[float | None, Objective]:
    """Return the figure of a study's best trial, in the unit of the objective, and that."""
    best = status.best
    return (None, ACCURACY) if best is None else (best.val_objective, best.objective)


def study_clause(
    ended: int, budget_trials: int, best: float | None, objective: Objective = ACCURACY
) -> str:
    """Return where the study stands, to follow a line; `best` is in the objective's own unit."""
    clause = f"| {ended}/{budget_trials} trials done"
    if best is None:
        return clause
    return f"{clause}, best {shown(objective, score_of(objective, best))}"
