"""A study's budget in words."""

from tlsearch.records import Controls
from tlsearch.records.format import percent


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
