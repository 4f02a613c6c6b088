"""The loop of a worker: turns of studies, its own limits, failures in a row."""

import time
from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

import pytest

from tests.unit.worker.conftest import PLAIN, World
from tlsearch.errors import MemoryShortage, WorkerStopped
from tlsearch.records import TrialRecord
from tlsearch.store.claims import Claim, Refusal
from tlsearch.worker.loop import FailureStreak, Limits, WorkerLoop, WorkerSummary

DONE = Refusal("done", "its budget of 2 trials is spent")
RECORD = TrialRecord(
    number=0, state="complete", val_accuracy=0.5, params=PLAIN, epochs=4, seconds=1.0
)


class Session:
    """A study that answers with what it was given, then is done."""

    def __init__(self, world: World, name: str, answers: list[Any], last: Refusal = DONE) -> None:
        study = world.context.study
        self.study = replace(study, name=name)
        self.answers = answers
        self.last = last
        self.cleaned = self.left = False
        self.failure: str | None = None
        self.runner = SimpleNamespace(run=self._run)

    def next(self) -> Any:
        return self.answers.pop(0) if self.answers else self.last

    def leave(self) -> None:
        self.left = True

    def clean_up(self) -> None:
        self.cleaned = True

    def failure_of_all(self) -> str | None:
        return self.failure

    def _run(self, claim: Claim, tell: Any) -> TrialRecord | None:
        record = OUTCOMES[claim.token]
        if record is not None:
            tell(record)
        return record


OUTCOMES: dict[str, TrialRecord | None] = {
    "complete": RECORD,
    "released": None,
    "again": replace(RECORD, state="waiting", reason_kind="ValueError", reason="bad"),
    "nan": replace(RECORD, state="fail", reason_kind="nan", reason="the loss is not finite"),
}


def claim(how: str, trial_id: int = 1) -> Claim:
    return Claim(trial_id, how, 1, ())


def loop_of(world: World, *sessions: Session, **limits: Any) -> WorkerLoop:
    return WorkerLoop(cast(Any, sessions), world.told, world.signals, Limits(**limits))


def run(world: World, *sessions: Session, **limits: Any) -> WorkerSummary:
    return loop_of(world, *sessions, **limits).run()


def test_it_runs_until_the_budget_is_spent(world: World):
    session = Session(world, "a", [claim("complete"), None, claim("complete", 2)])
    summary = run(world, session)
    assert summary.trials == (RECORD, RECORD)
    assert summary.studies == ("a", "a")
    assert summary.budget_spent
    assert summary.why == "study 'a' is done: its budget of 2 trials is spent"
    assert session.cleaned
    assert world.told.ended_trials == [RECORD, RECORD]


def test_a_study_whose_trials_all_failed_is_not_done(world: World):
    a, b = Session(world, "a", [claim("nan")]), Session(world, "b", [claim("complete", 2)])
    a.failure = "nan: the loss is not finite"
    with pytest.raises(WorkerStopped, match=r"study 'a' is over .*every trial.* failed: nan: the"):
        run(world, a, b)
    assert b.cleaned
    assert len(world.told.ended_trials) == 2


def test_too_little_memory_for_any_trial_is_exit_code_2(world: World):
    session = Session(world, "a", [])
    session.failure = "out_of_memory: cpu has too little memory"
    with pytest.raises(MemoryShortage, match="every trial that trained failed: out_of_memory"):
        run(world, session)
    assert MemoryShortage.exit_code == 2
    streak = FailureStreak()
    failed = replace(RECORD, state="fail", reason_kind="out_of_memory", reason="cpu has too little")
    for trial_id in range(2):
        streak.note(trial_id, failed)
    with pytest.raises(MemoryShortage, match="3 trials in a row"):
        streak.note(2, failed)


def test_a_study_that_was_stopped_may_have_failed_trials(world: World):
    a = Session(world, "a", [claim("nan")], Refusal("stopped", "the study was stopped"))
    a.failure = "nan: the loss is not finite"
    assert run(world, a).why == "study 'a' was stopped"


def test_studies_take_turns(world: World):
    a = Session(world, "a", [claim("complete")] * 2)
    b = Session(world, "b", [claim("complete")] * 2, Refusal("stopped", "the study was stopped"))
    summary = run(world, a, b)
    assert summary.studies == ("a", "b", "a", "b")
    assert summary.why == (
        "study 'a' is done: its budget of 2 trials is spent; study 'b' was stopped"
    )


def test_a_study_without_a_trial_does_not_hold_up_the_others(world: World):
    a = Session(world, "a", [Refusal("paused", "the study is paused")] * 3)
    b = Session(world, "b", [claim("complete")] * 2)
    assert run(world, a, b).studies == ("b", "b")


def test_why_it_waits_is_said(world: World, monkeypatch):
    waits = []
    monkeypatch.setattr(type(world.signals.requested), "wait", lambda _, s: waits.append(s))
    run(world, Session(world, "a", [Refusal("wait", "waiting for 1 running elsewhere")]))
    assert world.told.lines == ["waiting for 1 running elsewhere"]
    assert waits == [1.0], "no longer than a heartbeat"


def test_own_limit_of_trials(world: World):
    session = Session(world, "a", [claim("complete")] * 5)
    summary = run(world, session, max_trials=2)
    assert len(summary.trials) == 2
    assert (summary.budget_spent, summary.why) == (False, "this worker's limit is reached")
    assert len(session.answers) == 3, "no third one is claimed"


def test_own_limit_of_time(world: World):
    session = Session(world, "a", [claim("complete")] * 5)
    loop = loop_of(world, session, timeout_seconds=0.01)
    time.sleep(0.02)
    assert loop.run().trials == ()


def test_released_trials_are_not_counted(world: World):
    session = Session(world, "a", [claim("released"), claim("complete")])
    assert run(world, session, max_trials=1).trials == (RECORD,)


def test_three_trials_in_a_row_that_fail_alike_stop_it(world: World):
    session = Session(world, "a", [claim("nan", trial_id) for trial_id in (1, 2, 3, 4)])
    with pytest.raises(WorkerStopped, match="so this worker stops: nan: the loss is not finite"):
        run(world, session)
    assert len(session.answers) == 1


class TestFailureStreak:
    def note(self, streak: FailureStreak, *outcomes: tuple[str, int]) -> None:
        for how, trial_id in outcomes:
            streak.note(trial_id, cast(TrialRecord, OUTCOMES[how]))

    def test_another_kind_begins_anew(self):
        self.note(FailureStreak(), ("nan", 1), ("nan", 2), ("again", 3), ("again", 4), ("nan", 5))

    def test_a_success_begins_anew(self):
        self.note(FailureStreak(), ("nan", 1), ("nan", 2), ("complete", 3), ("nan", 4), ("nan", 5))

    def test_one_trial_that_fails_again_and_again_counts_once(self):
        self.note(FailureStreak(), *[("again", 1)] * 5, ("again", 2))

    def test_attempts_that_go_back_into_the_queue_count(self):
        with pytest.raises(WorkerStopped):
            self.note(FailureStreak(), ("again", 1), ("again", 2), ("again", 3))
