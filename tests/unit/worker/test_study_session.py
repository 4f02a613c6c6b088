"""Which trial comes next: decisions of a study session, with measuring and server in memory."""

from dataclasses import replace

import pytest

from tests.unit.worker.conftest import PLAIN, Heartbeats, World
from tlsearch.errors import StudyError
from tlsearch.space import resolve
from tlsearch.spec import SpaceSpec
from tlsearch.store.claims import Claim, Refusal
from tlsearch.worker import study_session
from tlsearch.worker.study_session import StudySession


class Steps:
    """Measuring that has so many steps left.

    Attributes:
        given: whether it was given up, or is done.
    """

    def __init__(self, left: int, given_up: bool = False) -> None:
        self.left = left
        self.given = given_up

    def step_or_give_up(self) -> bool:
        self.left -= 1
        return self.left >= 0

    def given_up(self) -> bool:
        return self.given


def session_of(world: World, measuring: Steps | None = None) -> StudySession:
    """A session whose network is loaded and whose measuring is given."""
    session = StudySession(world.context)
    vars(session).update(runner=world.runner, measuring=measuring)
    return session


def test_a_queued_trial(world: World):
    trial = world.server.queue(PLAIN)
    claim = session_of(world).next()
    assert isinstance(claim, Claim)
    assert (claim.trial_id, claim.attempt, trial.state) == (1, 1, "running")
    world.signals.release()


def test_every_turn_is_a_heartbeat(world: World):
    session = session_of(world)
    session.next()
    session.next()
    registration = world.context.registration
    assert isinstance(registration, Heartbeats)
    assert registration.n == 2


@pytest.mark.parametrize("verdict", ["done", "stopped", "budget", "paused"])
def test_nothing_is_loaded_where_there_is_nothing_to_run(world: World, monkeypatch, verdict):
    def load(_):
        raise AssertionError("loads images and network")

    monkeypatch.setattr(study_session, "load_materials", load)
    world.server.verdict = Refusal(verdict, "somebody said so")
    assert StudySession(world.context).next() == Refusal(verdict, "somebody said so")


def test_measuring_comes_first_step_by_step(world: World):
    trial = world.server.queue(PLAIN)
    session = session_of(world, Steps(left=2))
    assert session.next() is None
    assert session.next() is None
    assert trial.state == "waiting"
    assert isinstance(session.next(), Claim)
    world.signals.release()


@pytest.mark.parametrize(
    ("world", "given_up", "kept"),
    [
        ({"prior": {"draws": 3}}, False, 6),
        ({"prior": {"draws": 3}}, True, 0),
        ({"prior": {"use": False}}, False, 0),
    ],
    indirect=["world"],
)
def test_the_budget_keeps_room_for_the_prior(world: World, given_up, kept):
    """While another worker measures: the mode, range_rate, the opposite mode and the draws."""
    world.server.queue(PLAIN)
    session_of(world, Steps(0, given_up)).next()
    world.signals.release()
    assert world.claims.keeps == [kept]


def test_the_budget_keeps_room_for_the_trial_from_the_probe(world: World):
    study = world.context.study
    space = resolve(SpaceSpec(), study.space.n_body_layers, takes_head=True)
    world.context = replace(world.context, study=replace(study, space=space))
    world.server.queue(PLAIN)
    session_of(world, Steps(0)).next()
    assert world.claims.keeps == [study.spec.prior.draws + 4]
    world.signals.release()


def test_a_last_trial_elsewhere_is_waited_for(world: World):
    world.server.queue(PLAIN).state = "running"
    refusal = session_of(world).next()
    assert isinstance(refusal, Refusal)
    assert (refusal.verdict, refusal.over) == ("wait", False)


def test_a_deleted_study_is_cleaned_up_after(world: World, monkeypatch):
    cleaned = []
    monkeypatch.setattr(study_session, "remove_unneeded_files", lambda *_: cleaned.append(1))
    world.server.deleted = True
    world.server.queue(PLAIN)
    with pytest.raises(StudyError, match="deleted"):
        session_of(world).next()
    assert cleaned == [1]


def test_a_signal_while_a_claim_is_refused_ends_the_worker(world: World, monkeypatch):
    """Nothing is held then, so there is nothing to release."""

    def refuse(token: str, keep: int = 0) -> Refusal:
        world.signals.requested.set()
        return Refusal("wait", "another worker was faster")

    monkeypatch.setattr(world.claims, "claim", refuse)
    world.server.queue(PLAIN)
    with pytest.raises(SystemExit) as ended:
        session_of(world).next()
    assert ended.value.code == 143
