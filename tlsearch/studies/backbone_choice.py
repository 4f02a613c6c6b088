"""Chooses a study's network and image size among candidates, in three steps under one budget.

All candidates are compared by fixed features, which cost seconds. The best few become studies with
room for the first trials only: fixed features, the plain default, the prior's mode. The one with
the best answer gets the rest of the budget and is the study that is searched
(docs/decisions/0023-which-backbone.md).
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from optuna.storages import RDBStorage

from tlsearch.data import find_images
from tlsearch.errors import InputError, SpecError
from tlsearch.optuna_ext.history import StudyHistory
from tlsearch.records import Answer, StudyStatus, answer_of
from tlsearch.records.names import LONGEST_NAME, MEASURES_SUFFIX
from tlsearch.records.objective import ACCURACY
from tlsearch.records.precision import share_error
from tlsearch.spec import CandidateSpec, StudySpec
from tlsearch.store.connect import given_storage, open_storage
from tlsearch.store.stored_study import StoredStudy
from tlsearch.store.studies import read_attr, read_study
from tlsearch.store.trials import best_first, study_status, trial_records
from tlsearch.studies.backbone_screen import Screened, candidates_of, closed, ranked, screen
from tlsearch.studies.create import create_study
from tlsearch.studies.steer import set_budget
from tlsearch.worker.context import choose_device

FIRST_TRIALS = 3  # fixed features, the plain default, the prior's mode
AT_FIRST = 2  # candidates that are trained
_LEAST_HOURS = 1e-6  # a budget is above 0
SCREENED = "backbones"  # the user attribute of each of their studies that holds the comparison

Step = Literal["first trials", "search", "done"]


@dataclass(frozen=True, slots=True)
class Entrant:
    """The study of a candidate that is trained.

    Attributes:
        study: its name.
        candidate: its network and image size.
        status: where it stands.
        answer: what it recommends so far; None before a trial is complete.
        n_val: validation images.
    """

    study: str
    candidate: CandidateSpec
    status: StudyStatus
    answer: Answer | None
    n_val: int

    @property
    def spent(self) -> bool:
        """Whether its budget is; one that was stopped may go on."""
        return self.status.controls.verdict in ("done", "budget")

    @property
    def val_accuracy(self) -> float | None:
        """Of what it recommends, a fraction; None before a trial is complete."""
        return None if self.answer is None else self.answer.val_accuracy

    @property
    def score(self) -> float | None:
        """Of what it recommends, by the objective: larger is better."""
        return None if self.answer is None else self.answer.score

    @property
    def error(self) -> float:
        """Standard error of the score."""
        if self.answer is None or self.answer.objective == ACCURACY:
            return share_error(self.score or 0.0, self.n_val)
        return self.answer.own_error or 0.0


@dataclass(frozen=True, slots=True)
class BackboneChoice:
    """Where the choice of a network stands.

    Attributes:
        spec: with the candidates.
        screened: fixed features of each candidate, the best first, then those that are refused.
        entrants: the studies of those that are trained, in the order of `screened`.
        winner: of the entrants; None before all of their first trials ended.
        step: `first trials` or `search` = what is trained next, or `done`.
    """

    spec: StudySpec
    screened: tuple[Screened, ...]
    entrants: tuple[Entrant, ...]
    winner: Entrant | None
    step: Step

    @property
    def studies(self) -> list[str]:
        """Names of the studies that workers should take now; none when all is done."""
        if self.step == "done":
            return []
        if self.winner is not None:
            return [self.winner.study]
        return [each.study for each in self.entrants]

    @property
    def lead(self) -> tuple[float, float] | None:
        """How far the winner's answer is ahead of the best one of the others, and the standard
        error of that, in scores; it takes the two for independent. None = nobody to beat.
        """
        rivals = [e for e in self.entrants if e is not self.winner and e.score is not None]
        rival = max(rivals, key=lambda each: each.score or 0.0, default=None)
        if self.winner is None or rival is None:
            return None
        gain = (self.winner.score or 0.0) - (rival.score or 0.0)
        return gain, math.hypot(self.winner.error, rival.error)


def choose_backbone(
    spec: StudySpec,
    storage: str | None = None,
    *,
    top: int | None = None,
    device: str = "auto",
    imagenet: Mapping[str, float] | None = None,
    say: Callable[[str], None] = lambda _: None,
) -> BackboneChoice:
    """Take the next step of the choice that can be taken without training, and say where it stands.

    Called again it goes on where it stands: networks are compared once, studies are created once,
    and the winner's budget is raised once. Workers of any machine train the studies it names.

    Args:
        spec: with `backbone.candidates` or `backbone.image_sizes`.
        storage: a PostgreSQL URL; without one the environment's, the spec's, or the embedded
            server.
        top: how many candidates to train; None = `AT_FIRST`, or as many as there are by now.
        device: where to compare them: auto, cpu, cuda or cuda:N.
        imagenet: see `screen`.
        say: told what is going on.

    Raises:
        SpecError: nothing is to be chosen, the budget is too small, or a candidate's study cannot
            be created.
        InputError: no candidate can be used.
        StudyError: a candidate's study exists with another spec.
        StorageError: the database cannot be used.
    """
    candidates = candidates_of(spec)
    _check(spec, candidates, top)
    where = given_storage(storage) or spec.storage
    database = open_storage(where)
    there = _there(database, spec, candidates)
    wanted = min(top or max(AT_FIRST, len(there)), len(candidates))
    rows = _stored(database, there)
    if rows is None or len(there) < wanted:
        if rows is None:
            say("reading the images")
            catalog = find_images(spec.data, spec.recipe)
            rows = screen(spec, catalog, choose_device(device), imagenet or {}, say)
        _create(database, spec, where, rows, there, wanted, say)
        there = _there(database, spec, candidates)
    entrants = _entrants(database, spec, candidates, rows, there)
    winner = _winner(entrants)
    if winner is not None:
        winner = _given_the_rest(database, spec, where, winner, entrants)
        entrants = [winner if each.study == winner.study else each for each in entrants]
    usable = ranked(rows)
    return BackboneChoice(
        spec,
        (*usable, *(row for row in rows if row not in usable)),
        tuple(entrants),
        winner,
        _step(winner),
    )


def study_name(spec: StudySpec, candidate: CandidateSpec) -> str:
    """Return the name of a candidate's study."""
    return f"{spec.name}-{candidate.model}-{candidate.image_size}"


def _check(spec: StudySpec, candidates: Sequence[CandidateSpec], top: int | None) -> None:
    if not spec.backbone.is_open:
        raise SpecError(
            [
                "backbone.candidates: is missing, so there is nothing to choose from; name other "
                'networks there ([{ model = "...", weights = "..." }]), or sizes in '
                "backbone.image_sizes"
            ]
        )
    if top is not None and top < 1:
        raise InputError(f"--top {top}: must be at least 1")
    n = min(top or AT_FIRST, len(candidates))
    if spec.budget.trials <= n * FIRST_TRIALS:
        raise SpecError(
            [
                f"budget.trials = {spec.budget.trials}: {n} candidates take {FIRST_TRIALS} trials "
                f"each before the search; raise it above {n * FIRST_TRIALS}, or lower --top"
            ]
        )
    most = LONGEST_NAME - len(MEASURES_SUFFIX)
    longest = max((study_name(spec, each) for each in candidates), key=len)
    if len(longest) > most:
        raise SpecError(
            [
                f"name: the study of a candidate would be {longest!r}, of {len(longest)} "
                f"characters, and {most} are possible; choose a shorter one"
            ]
        )


def _there(
    database: RDBStorage, spec: StudySpec, candidates: Sequence[CandidateSpec]
) -> list[StoredStudy]:
    """Return the candidates' studies that exist, the oldest first."""
    found = (read_study(database, study_name(spec, each)) for each in candidates)
    return sorted((study for study in found if study), key=lambda study: study.study_id)


def _stored(database: RDBStorage, there: Sequence[StoredStudy]) -> list[Screened] | None:
    """Return the comparison as it was made before the studies were created."""
    for study in there:
        rows = read_attr(database, study.study_id, SCREENED)
        if rows is not None:
            return [Screened.from_dict(row) for row in rows]
    return None


def _create(
    database: RDBStorage,
    spec: StudySpec,
    where: str | None,
    rows: Sequence[Screened],
    there: Sequence[StoredStudy],
    wanted: int,
    say: Callable[[str], None],
) -> None:
    """Create the studies of the best candidates until there are as many as are wanted."""
    best = ranked(rows)
    if not best:
        why = "; ".join(f"{row.model} at {row.image_size} pixels: {row.refused}" for row in rows)
        raise InputError(f"no candidate can be used: {why}")
    names = {study.name for study in there}
    new = [each for each in map(_candidate, best) if study_name(spec, each) not in names]
    studies = list(there)
    for candidate in new[: wanted - len(there)]:
        say(f"creating the study of {candidate}")
        studies.append(create_study(first_spec(spec, candidate), where)[0])
    for study in studies:
        if read_attr(database, study.study_id, SCREENED) is None:
            database.set_study_user_attr(study.study_id, SCREENED, [row.as_dict() for row in rows])


def first_spec(spec: StudySpec, candidate: CandidateSpec) -> StudySpec:
    """Return the spec of a candidate's study, with room for its first trials."""
    budget = spec.budget.model_copy(update={"trials": FIRST_TRIALS})
    update = {"name": study_name(spec, candidate), "budget": budget}
    return closed(spec, candidate).model_copy(update=update)


def _candidate(row: Screened) -> CandidateSpec:
    return CandidateSpec(model=row.model, weights=row.weights, image_size=row.image_size)


def _entrants(
    database: RDBStorage,
    spec: StudySpec,
    candidates: Sequence[CandidateSpec],
    rows: Sequence[Screened],
    there: Sequence[StoredStudy],
) -> list[Entrant]:
    by_name = {study_name(spec, each): each for each in candidates}
    order = {study_name(spec, _candidate(row)): place for place, row in enumerate(ranked(rows))}
    found = [_entrant(database, study, by_name[study.name]) for study in there]
    return sorted(found, key=lambda each: order.get(each.study, len(order)))


def _entrant(database: RDBStorage, study: StoredStudy, candidate: CandidateSpec) -> Entrant:
    history = StudyHistory(database.engine, study.study_id)  # so that trials are read once
    best = best_first(trial_records(database, study.study_id, history))
    answer = answer_of(best, study.data.n_val)
    status = study_status(database, study, history)
    return Entrant(study.name, candidate, status, answer, study.data.n_val)


def _winner(entrants: Sequence[Entrant]) -> Entrant | None:
    """Return the entrant that has the rest of the budget, or should get it now."""
    for each in entrants:
        if each.status.controls.trials > FIRST_TRIALS:
            return each
    if not all(each.spent for each in entrants):
        return None
    trained = [each for each in entrants if each.score is not None]
    return max(trained, key=lambda each: each.score or 0.0, default=None)


def _given_the_rest(
    database: RDBStorage,
    spec: StudySpec,
    where: str | None,
    winner: Entrant,
    entrants: Sequence[Entrant],
) -> Entrant:
    """Raise the winner's budget by what the others left of the spec's."""
    if winner.status.controls.trials > FIRST_TRIALS:
        return winner
    others = [each.status for each in entrants if each is not winner]
    changes: dict[str, float] = {"trials": spec.budget.trials - sum(each.ended for each in others)}
    if spec.budget.gpu_hours is not None:
        used = sum(each.controls.gpu_hours_used for each in others)
        changes["gpu_hours"] = max(spec.budget.gpu_hours - used, _LEAST_HOURS)
    set_budget(winner.study, changes, where)
    study = read_study(database, winner.study)
    assert study is not None  # its budget was set
    return _entrant(database, study, winner.candidate)


def _step(winner: Entrant | None) -> Step:
    if winner is None:
        return "first trials"
    return "done" if winner.spent else "search"
