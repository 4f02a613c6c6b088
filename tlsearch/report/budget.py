"""A study's budget in words."""

from tlsearch.records import Controls, StudyStatus
from tlsearch.records.format import duration, percent


def budget_sentence(controls: Controls, *, used: bool) -> str:
    """Return a study's limits: `budget: 16 trials, until ..., target 90.0 %`.

    Args:
        controls: the limits, and the GPU-hours used so far.
        used: whether to say how many GPU-hours are used; then times are in this machine's zone,
            for a person at a terminal, and otherwise as they are stored.
    """
    parts = [f"budget: {controls.trials} trials"]
    hours = [] if controls.gpu_hours is None else [f"{controls.gpu_hours:g}"]
    if used:
        parts.append(" of ".join([f"{controls.gpu_hours_used:.2f}", *hours]) + " GPU-hours used")
    else:
        parts += [f"{limit} GPU-hours" for limit in hours]
    if controls.until is not None:
        until = controls.until.astimezone() if used else controls.until
        parts.append(f"until {until:%Y-%m-%d %H:%M:%S %Z}")
    if controls.target_accuracy is not None:
        parts.append(f"target {percent(controls.target_accuracy)}")
    if controls.patience_trials is not None:
        parts.append(f"at most {controls.patience_trials} trials in a row without gain")
    return ", ".join(parts)


def pace_sentence(status: StudyStatus) -> str | None:
    """Return what a trial takes and what is left: `a trial takes 0:12; 9 more fit ...`.

    None before a trial ended.
    """
    each, left = status.seconds_per_trial, status.trials_left
    if each is None or left is None:
        return None
    takes = f"a trial takes {duration(each)} (mean of {status.ended})"
    if left == 0:
        return f"{takes}; the budget has room for no more"
    return f"{takes}; the budget has room for {left} more, {duration(left * each)} of one worker"
