"""A trial's progress as lines of text: of this process, and of a launcher's workers."""

from tlsearch.records import reason_line
from tlsearch.records.format import duration, percent, val_percent


def claimed_line(number: int, attempt: int) -> str:
    """Return the line of a trial that begins."""
    again = f" (attempt {attempt})" if attempt > 1 else ""
    return f"trial {number}{again} begins"


def epoch_line(number: int, epoch: int, epochs: int | None, val_accuracy: float | None) -> str:
    """Return the line of an epoch that ended; `epochs` is how many the trial has in all."""
    of = f"/{epochs}" if epochs else ""
    return f"trial {number}  epoch {epoch}{of}  val {percent(val_accuracy)}"


def ended_line(
    number: int,
    state: str,
    *,
    reason_kind: str | None,
    reason: str | None,
    duplicate_of: int | None,
    epochs: int,
    val_accuracy: float | None,
    seconds: float | None,
    train_on: str = "train",
) -> str:
    """Return the line of a trial that ended."""
    how = state if state != "fail" else f"failed ({reason_line(reason_kind, reason)})"
    if duplicate_of is not None:
        how = f"same as trial {duplicate_of}"
    val = val_percent(val_accuracy, train_on)
    return f"trial {number} {how:<8} {epochs} epochs  val {val}  in {duration(seconds)}"


def study_clause(ended: int, budget_trials: int, best: float | None) -> str:
    """Return where the study stands, to follow a line."""
    clause = f"| {ended}/{budget_trials} trials done"
    return clause + (f", best {percent(best)}" if best is not None else "")
