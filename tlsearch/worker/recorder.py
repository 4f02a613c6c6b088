"""Records how an attempt ended, and keeps or removes its files.

Once the last epoch is trained, its score and its model count: the sampler, pictures, attributes,
files and what shows progress may fail in any way, and the trial is complete all the same.
"""

import logging
from collections.abc import Callable, Mapping
from contextlib import suppress

from optuna.trial import TrialState

from tlsearch.errors import DatabaseAway, TrialLost
from tlsearch.records import Failure, FineTuneResult
from tlsearch.records.finals_plan import TAKEN_FROM
from tlsearch.records.objective import ACCURACY, OBJECTIVE, score_of
from tlsearch.store.claims import Curve, Release
from tlsearch.store.outages import DATABASE_ERRORS, RetryPolicy, within
from tlsearch.worker.beside_floor import (
    COPIED,
    beside_floor,
    own_error,
    right_ones,
    shown_figures,
)
from tlsearch.worker.endings import Complete, Duplicate, Ending, Failed, Floor, Pruned, Released
from tlsearch.worker.held_trial import HeldTrial
from tlsearch.worker.keepsakes import (
    about,
    harmless,
    is_among_best,
    keep_model,
    remove_shown,
    remove_surplus_models,
    report_problem,
    save_pictures,
)

Attrs = Mapping[str, object]

_RELEASE_SECONDS = 3.0  # a worker that stops does not wait longer for the database
_log = logging.getLogger(__name__)


def record_ending(held: HeldTrial, ending: Ending) -> None:
    """Record how an attempt ended.

    Raises:
        TrialLost: the trial is another worker's by now; nothing is recorded.
        DatabaseAway: the database stayed away.
    """
    match ending:
        case Complete():
            _complete(held, ending)
        case Floor():
            _complete_floor(held, ending)
        case Pruned():
            _prune(held, ending)
        case Duplicate():
            _take_over(held, ending)
        case Failed():
            _fail(held, ending)
        case Released():
            _release(held, ending)


def remove_files_if_over(held: HeldTrial) -> None:
    """Remove the files of a lost trial where nobody needs them: it ended, or was deleted."""
    held.files.wait()
    with suppress(DatabaseAway, *DATABASE_ERRORS):
        if within(_RELEASE_SECONDS, lambda: held.context.claims.is_over(held.claim)):
            held.files.remove()


def _complete(held: HeldTrial, ending: Complete) -> None:
    result, objective = ending.result, held.context.study.spec.objective
    score = result.score(objective)
    _tell_sampler(held, TrialState.COMPLETE, score)
    good = is_among_best(held, score)
    has_model = good and keep_model(held, ending.checkpoint)
    curve_so_far = [report.score(objective) for report in result.curve]
    predictions = result.val_predictions
    pictures: dict[str, str] = {}
    if good:
        shares = result.val_probabilities
        pictures = save_pictures(held, ending.number, curve_so_far, predictions, shares)
    facts = shown_figures(result.curve[-1].figures) | beside_floor(held, result) | _times(result)
    facts |= right_ones(held, predictions, result.val_probabilities)
    _write_complete(held, score, result.seconds, has_model, pictures, facts)
    with harmless(held, "files of this or an earlier trial are left"):
        if has_model:
            remove_surplus_models(held)
        else:
            held.files.remove()


def _complete_floor(held: HeldTrial, ending: Floor) -> None:
    """Record the floor; its model is none of the best trials' and is never surplus."""
    has_model = False
    with harmless(held, "the model of the floor is not kept"):
        has_model = held.files.keep_model(ending.model)
    shares = ending.val_probabilities
    pictures = save_pictures(held, ending.number, (), ending.val_predictions, shares)
    facts = shown_figures(ending.figures) | own_error(held, shares)
    facts |= right_ones(held, ending.val_predictions, shares)
    objective = held.context.study.spec.objective
    score = score_of(objective, getattr(ending.figures, objective))
    _write_complete(held, score, ending.seconds, has_model, pictures, facts)
    with harmless(held, "files of an earlier attempt are left"):
        if has_model:
            held.files.remove_earlier()
        else:
            held.files.remove()


def _write_complete(
    held: HeldTrial,
    score: float,
    seconds: float,
    has_model: bool,
    pictures: Mapping[str, str],
    more: Attrs | None = None,
) -> None:
    def write(user_attrs: Attrs, system_attrs: Attrs) -> None:
        held.context.claims.complete(
            held.claim,
            score,
            curve,
            has_model=has_model,
            user_attrs=user_attrs,
            system_attrs=system_attrs,
        )

    try:
        curve = _undelivered(held)
        _write_end(held, write, seconds, pictures, more)
    except TrialLost:
        remove_shown(held, pictures)
        raise


def _prune(held: HeldTrial, ending: Pruned) -> None:
    context = held.context
    score = ending.result.score(context.study.spec.objective)
    _tell_sampler(held, TrialState.PRUNED, score)
    curve = _undelivered(held)

    def write(user_attrs: Attrs, system_attrs: Attrs) -> None:
        context.claims.prune(
            held.claim, score, curve, user_attrs=user_attrs, system_attrs=system_attrs
        )

    more = shown_figures(ending.result.curve[-1].figures) | _times(ending.result)
    _write_end(held, write, ending.result.seconds, more=more)
    with harmless(held, "files of this trial are left"):
        held.files.remove()


def _write_end(
    held: HeldTrial,
    write: Callable[[Attrs, Attrs], None],
    seconds: float,
    pictures: Mapping[str, str] | None = None,
    more: Attrs | None = None,
) -> None:
    """Write how a trial ended with its attributes; if these are refused, without them."""
    retry, facts = held.context.retry, _facts(held, seconds)
    pending = held.trials.take_pending(held.claim.trial_id)
    user = pending.user_attrs | facts | dict(more or {})
    system = pending.system_attrs | dict(pictures or {})
    try:
        retry.call(lambda: write(user, system))
    except (TrialLost, DatabaseAway):
        raise
    except Exception as error:  # an attribute that no JSON or no column takes
        report_problem(held, "this trial has no pictures and no notes of the sampler", error)
        remove_shown(held, pictures or {})
        retry.call(lambda: write(facts, {}))


def _take_over(held: HeldTrial, ending: Duplicate) -> None:
    """Record the curve and the result of the original as this trial's own."""
    original = ending.original
    assert original.value is not None, "it is complete"
    score, epochs = original.value, sorted(original.intermediate_values)
    curve = Curve(epochs, [original.intermediate_values[epoch] for epoch in epochs])
    first = original.user_attrs.get("duplicate_of", original.number)
    same = {"duplicate_of": first}
    if ending.study is not None:
        same = {TAKEN_FROM: {"study": ending.study, "trial": first}}
    attrs: dict[str, object] = {**same, "seconds": 0.0}
    attrs |= {key: original.user_attrs[key] for key in COPIED if key in original.user_attrs}
    _undelivered(held)
    context = held.context
    context.retry.call(lambda: context.claims.complete(held.claim, score, curve, user_attrs=attrs))
    held.files.remove()


def _fail(held: HeldTrial, ending: Failed) -> None:
    """Fail the trial, or put it back into the queue where another try may succeed."""
    context = held.context
    held.reporter.close()
    held.files.wait()
    curve, checkpoint_epoch = held.reporter.undelivered()
    failure = Failure(ending.failure.kind, _storable(ending.failure.message))
    attrs = held.energy.attrs()
    attrs |= {"traceback": ending.traceback} if ending.traceback else {}
    _log.info("%s: %s", failure.kind, failure.message, extra=about(held))
    if not ending.may_pass:
        context.retry.call(
            lambda: context.claims.fail(held.claim, failure, curve, user_attrs=attrs)
        )
        held.files.remove()
        return
    # One after the other: the first cannot be repeated once the second is done.
    context.retry.call(lambda: context.claims.write(held.claim, user_attrs=attrs))
    ours = context.retry.call(
        lambda: context.claims.release_failed(held.claim, failure, curve, checkpoint_epoch)
    )
    _check_ours(ours)


def _release(held: HeldTrial, ending: Released) -> None:
    """Put the trial back into the queue, with a checkpoint of the step where it stopped."""
    context = held.context
    if ending.checkpoint is not None:
        held.save_checkpoint_now(ending.checkpoint)
    held.reporter.close()
    why = _why(held)
    curve, checkpoint_epoch = held.reporter.undelivered()
    attrs = held.energy.attrs()

    def release() -> bool:
        if attrs:
            context.claims.write(held.claim, user_attrs=attrs)
        return context.claims.release(held.claim, why, curve, checkpoint_epoch)

    try:
        ours = within(_RELEASE_SECONDS, lambda: RetryPolicy(_RELEASE_SECONDS).call(release))
    except DatabaseAway as away:
        context.progress.preparing(f"{away}: the trial goes on elsewhere once it is missed")
        return
    _check_ours(ours)


def _check_ours(ours: bool) -> None:
    """Raise TrialLost where a release found the trial to be another worker's."""
    if not ours:
        raise TrialLost("the trial is another worker's by now")


def _why(held: HeldTrial) -> Release:
    """Return why a trial is released: a signal, closed output, or what the study wants.

    Raises:
        DatabaseAway: the outage lasted longer than the limit.
    """
    signals, refusal = held.context.signals, held.reporter.refusal
    if signals.requested.is_set() or refusal is None:
        held.reporter.check()
        by = signals.by if signals.requested.is_set() else "output closed"
        return Release("preempted", f"{by} on {held.context.registration.name}")
    match refusal.verdict:
        case "paused" | "stopped" | "budget":
            return Release(refusal.verdict, refusal.why)
    raise AssertionError(f"{refusal.verdict} releases no trial that runs")


def _tell_sampler(held: HeldTrial, state: TrialState, score: float) -> None:
    with harmless(held, "the sampler did not take in this trial"):
        held.context.retry.call(lambda: held.trials.ended(held.claim.trial_id, state, score))


def _times(result: FineTuneResult) -> dict[str, object]:
    return {} if result.times is None else result.times.as_attrs()


def _facts(held: HeldTrial, seconds: float) -> dict[str, object]:
    facts: dict[str, object] = {"seconds": round(seconds, 3)} | held.energy.attrs()
    if (objective := held.context.study.spec.objective) != ACCURACY:
        facts[OBJECTIVE] = objective
    if held.files.problem is not None:
        facts["checkpoint_problem"] = held.files.problem
    return facts


def _undelivered(held: HeldTrial) -> Curve:
    """Stop reporting, and return the epochs that did not arrive.

    Raises:
        TrialLost: the trial is another worker's by now.
    """
    held.reporter.close()
    held.reporter.raise_if_lost()
    return held.reporter.undelivered()[0]


def _storable(text: str) -> str:
    """Return a text as PostgreSQL can hold it: without NUL and without half characters."""
    return text.replace("\0", " ").encode(errors="backslashreplace").decode()
