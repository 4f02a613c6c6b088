"""Finalists in the database: which are queued, when, and what is read of them."""

from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
from optuna.storages import RDBStorage
from optuna.trial import FrozenTrial, TrialState

from tests.db.conftest import run as run_sql
from tests.db.searches import NAME, add_trial, end_run, right_with, write_search
from tlsearch.cli.finals_table import finals_line, finals_lines
from tlsearch.errors import InputError, StudyError
from tlsearch.records.finals import Finals
from tlsearch.records.finals_plan import RUN_OF
from tlsearch.records.study import FIXED_FEATURES
from tlsearch.store.connect import open_storage
from tlsearch.store.controls import read_controls
from tlsearch.store.finals import rates_ended, read_plan, settle_default
from tlsearch.store.runs import run_trials
from tlsearch.store.stored_study import StoredStudy
from tlsearch.store.studies import find_study
from tlsearch.studies.finalists import QueuedFinals, queue_finalists
from tlsearch.studies.finals import read_finals
from tlsearch.studies.steer import delete_study

MEMBER = f"{NAME}/finalists"
Rights = Callable[[FrozenTrial], np.ndarray | None]


@pytest.fixture
def storage(storage_url: str) -> RDBStorage:
    return open_storage(storage_url)


@pytest.fixture
def search(storage: RDBStorage) -> StoredStudy:
    """Six complete trials: the plain default, and five others, of which two are one."""
    study = write_search(storage)
    plain = study.space.plain_default()
    add_trial(storage, study, 0.70, origin="default")
    for rate, value in ((0.02, 0.80), (0.04, 0.84), (0.06, 0.82), (0.08, 0.75)):
        add_trial(storage, study, value, replace(plain, high_lr=rate, reinit_layers=2))
    same = replace(plain, high_lr=0.04, reinit_layers=2, low_layers=5)  # of no effect: one rate
    add_trial(storage, study, 0.85, same)
    return study


def queue(storage_url: str, top: int | None = 2, seeds: int | None = 2) -> QueuedFinals:
    return queue_finalists(NAME, storage_url, top=top, seeds=seeds)


def runs_of(storage: RDBStorage) -> list[FrozenTrial]:
    return run_trials(storage, find_study(storage, MEMBER).study_id)


def shown(storage: RDBStorage) -> list[tuple[str, str, int]]:
    return [
        (t.user_attrs[RUN_OF], t.user_attrs["origin"], t.user_attrs["seed"])
        for t in runs_of(storage)
    ]


def end_all(storage: RDBStorage, right: Rights) -> None:
    """End the runs as workers do, the second stage too."""
    study_id = find_study(storage, MEMBER).study_id
    while waiting := [t for t in runs_of(storage) if t.state is TrialState.WAITING]:
        for trial in waiting:
            end_run(storage, trial, right(trial))
        settle_default(storage, study_id)


def by_name(**rights: np.ndarray | None) -> Rights:
    """What runs get right by the name of their finalist, spaces as underscores."""
    return lambda trial: rights[trial.user_attrs[RUN_OF].replace(" ", "_")]


class TestQueue:
    def test_distinct_configurations_by_what_to_expect(
        self, storage_url: str, storage: RDBStorage, search: StoredStudy
    ) -> None:
        queued = queue(storage_url)
        assert (queued.created, queued.later) == (True, 0)
        names = [each.name for each in queued.plan.candidates]
        assert len(names) == 2
        assert len({"trial 2", "trial 5"} & set(names)) == 1, "they train the same model"
        assert queued.plan.seeds == (1, 2)  # none is the search's own, 0
        assert queued.plan.seen == (0.01, 0.70)
        assert queued.plan.rates == (0.00333, 0.03)
        first, second = names
        assert shown(storage) == [
            ("fixed features", FIXED_FEATURES, 1),
            ("default", "default_rate", 0),
            ("default", "default_rate", 0),
            (first, "finalist", 1),
            (second, "finalist", 1),
        ]
        # Room for the second stage is kept from the start.
        member = find_study(storage, MEMBER)
        assert read_controls(storage.engine, member.study_id).trials == 1 + 2 + 3 * 2
        assert member.spec.pruner.name == "none"
        assert member.spec.measures.when == "off"

    def test_the_second_stage_is_queued_once_by_many(
        self, storage_url: str, storage: RDBStorage, search: StoredStudy
    ) -> None:
        queued = queue(storage_url)
        study_id = find_study(storage, MEMBER).study_id
        rates = [t for t in runs_of(storage) if t.user_attrs["origin"] == "default_rate"]
        end_run(storage, rates[0], right_with(100))
        plan = read_plan(storage, study_id)
        assert plan is not None
        assert not rates_ended(storage, study_id, plan)
        assert settle_default(storage, study_id) == (False, 0)
        end_run(storage, rates[1], right_with(150))
        with ThreadPoolExecutor(4) as pool:
            outcomes = list(pool.map(lambda _: settle_default(storage, study_id), range(4)))
        assert sorted(outcomes) == [(True, 0)] * 3 + [(True, 4)]
        first, second = (each.name for each in queued.plan.candidates)
        assert shown(storage)[5:] == [
            ("default", "default", 1),
            (first, "finalist", 2),
            (second, "finalist", 2),
            ("default", "default", 2),
        ]
        # 75 % at 0.03 beat the 70 % that the search saw at 0.01.
        rate = {t.system_attrs["fixed_params"]["high_lr"] for t in runs_of(storage)[5::3]}
        assert rate == {0.03}

    def test_the_rate_of_the_search_wins_where_no_other_is_better(
        self, storage_url: str, storage: RDBStorage, search: StoredStudy
    ) -> None:
        queue(storage_url)
        end_all(storage, lambda trial: right_with(120))
        plan = read_plan(storage, find_study(storage, MEMBER).study_id)
        assert plan is not None
        assert plan.default_rate == 0.01

    def test_a_default_that_always_fails_is_no_baseline(
        self, storage_url: str, storage: RDBStorage
    ) -> None:
        study = write_search(storage)
        add_trial(storage, study, None, origin="default")
        add_trial(storage, study, 0.8, replace(study.space.plain_default(), high_lr=0.05))
        queued = queue(storage_url, top=3)
        assert queued.plan.rates == (0.01, 0.00333, 0.03)
        right = by_name(default=None, trial_1=right_with(180), fixed_features=right_with(140))
        end_all(storage, right)
        found = read_finals(NAME, storage_url)
        assert found is not None
        assert found.complete
        assert (found.recommended, len(found.comparisons)) == ("trial 1", 1)
        assert found.why is not None
        assert "no run of the plain default was complete" in found.why
        assert len(runs_of(storage)) == 1 + 3 + 2

    def test_more_seeds_and_more_finalists_are_added(
        self, storage_url: str, storage: RDBStorage, search: StoredStudy
    ) -> None:
        queue(storage_url)
        end_all(storage, lambda trial: right_with(120))
        before = shown(storage)
        add_trial(storage, search, 0.5, replace(search.space.plain_default(), high_lr=0.09))
        queued = queue(storage_url, top=3, seeds=3)
        assert (queued.created, len(queued.plan.candidates)) == (False, 3)
        added = shown(storage)[len(before) :]
        assert Counter(seed for _, _, seed in added) == {1: 1, 2: 1, 3: 4}
        again = queue(storage_url, None, None)
        assert (again.plan, again.later) == (queued.plan, 0)
        assert len(shown(storage)) == queued.plan.n_planned == len(before) + 6

    def test_a_search_that_went_on_is_said(
        self, storage_url: str, storage: RDBStorage, search: StoredStudy
    ) -> None:
        plan = queue(storage_url).plan
        add_trial(storage, search, 0.99, replace(search.space.plain_default(), high_lr=0.09))
        again = queue(storage_url, None, None)
        assert (again.plan, again.later) == (plan, 1)

    @pytest.mark.parametrize(("top", "seeds", "option"), [(1, None, "--top"), (None, 2, "--seeds")])
    def test_what_was_trained_is_not_thrown_away(
        self,
        storage_url: str,
        search: StoredStudy,
        top: int | None,
        seeds: int | None,
        option: str,
    ) -> None:
        queue(storage_url, 2, 3)
        with pytest.raises(StudyError, match=f"{option} .* already"):
            queue(storage_url, top, seeds)

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"top": 0}, "--top 0: must lie between 1 and 50"),
            ({"seeds": 1}, "--seeds 1: must lie between 2 and 100"),
            ({"seeds": 101}, "--seeds 101"),
            ({"gpu_hours": 0.0}, "--gpu-hours 0: must be above 0"),
            ({"gpu_hours": float("nan")}, "--gpu-hours nan"),
        ],
    )
    def test_numbers_out_of_range(
        self, storage_url: str, search: StoredStudy, options: dict[str, float], message: str
    ) -> None:
        with pytest.raises(InputError, match=message):
            queue_finalists(NAME, storage_url, **options)  # type: ignore[arg-type]
        assert read_finals(NAME, storage_url) is None

    def test_no_trial_to_choose(self, storage_url: str, storage: RDBStorage) -> None:
        study = write_search(storage)
        with pytest.raises(StudyError, match="no complete trial besides its baselines"):
            queue(storage_url)
        add_trial(storage, study, 0.7, origin="default")
        with pytest.raises(StudyError, match="no complete trial besides its baselines"):
            queue(storage_url)
        assert read_finals(NAME, storage_url) is None

    def test_no_study(self, storage_url: str) -> None:
        with pytest.raises(StudyError, match="'search' does not exist"):
            queue(storage_url)

    def test_finalists_have_no_finalists(self, storage_url: str, search: StoredStudy) -> None:
        queue(storage_url)
        with pytest.raises(StudyError, match="was made from study 'search'"):
            queue_finalists(MEMBER, storage_url)

    def test_those_of_an_earlier_study_of_the_name_are_refused(
        self, storage_url: str, storage: RDBStorage, search: StoredStudy
    ) -> None:
        queue(storage_url)
        run_sql(storage_url, f"SELECT tlsearch.delete_study({search.study_id})")
        add_trial(storage, write_search(storage), 0.8)
        for act in (lambda: queue(storage_url), lambda: read_finals(NAME, storage_url)):
            with pytest.raises(StudyError, match="was not made from study 'search' as it is"):
                act()

    def test_deletion_takes_the_family_along(
        self, storage_url: str, storage: RDBStorage, search: StoredStudy
    ) -> None:
        queue(storage_url)
        delete_study(NAME, storage_url)
        assert storage.get_all_studies() == []

    def test_deletion_spares_a_users_own_study_of_such_a_name(
        self, storage_url: str, storage: RDBStorage, search: StoredStudy
    ) -> None:
        """Before there were finalists, a study could be called so."""
        queue(storage_url)
        run_sql(storage_url, "DELETE FROM study_user_attributes WHERE key = 'family_of'")
        delete_study(NAME, storage_url)
        assert [study.study_name for study in storage.get_all_studies()] == [MEMBER]


class TestRead:
    def finals(
        self, storage_url: str, storage: RDBStorage, **rights: np.ndarray | None
    ) -> tuple[Finals, str]:
        """What is read where the runs of each finalist get these images right."""
        queued = queue(storage_url, top=1)
        (only,) = (each.name for each in queued.plan.candidates)
        rights[only.replace(" ", "_")] = rights.pop("best")
        end_all(storage, by_name(**rights))
        found = read_finals(NAME, storage_url)
        assert found is not None
        return found, only

    def test_none_without(self, storage_url: str, search: StoredStudy) -> None:
        assert read_finals(NAME, storage_url) is None

    def test_before_they_ended(
        self, storage_url: str, storage: RDBStorage, search: StoredStudy
    ) -> None:
        queued = queue(storage_url)
        found = read_finals(NAME, storage_url)
        assert found is not None
        assert (found.complete, found.winner, found.recommended) == (False, None, None)
        assert [each.planned for each in found.finalists] == [2, 2, 2, 1]
        last = runs_of(storage)[-1]
        end_run(storage, last, right_with(180))
        found = read_finals(NAME, storage_url)
        assert found is not None
        assert found.winner == queued.plan.candidates[-1].name
        assert not found.complete
        winner = found.finalists[0]
        assert (winner.name, winner.mean, winner.sd) == (found.winner, 0.9, None)
        assert (winner.runs[0].trial, winner.runs[0].seed) == (last.number, 1)

    def test_a_winner_that_beats_both(
        self, storage_url: str, storage: RDBStorage, search: StoredStudy
    ) -> None:
        found, only = self.finals(
            storage_url,
            storage,
            best=right_with(180),
            default=right_with(150),
            fixed_features=right_with(140),
        )
        assert found.complete
        assert found.recommended == found.winner == only
        assert [each.baseline for each in found.comparisons] == ["default", "fixed features"]
        assert all(each.is_clear and each.low > 0 for each in found.comparisons)
        assert [each.gain for each in found.comparisons] == pytest.approx([0.15, 0.2])
        assert {each.n_seeds for each in found.comparisons} == {2}
        params = found.finalist("default").params
        assert params is not None
        assert params.high_lr == 0.00333
        assert found.why == (
            f"{only} is ahead of default by 15.0 points and fixed features by 20.0 points, more "
            "than chance explains"
        )

    def test_the_cheaper_one_where_the_winner_does_not_beat_it(
        self, storage_url: str, storage: RDBStorage, search: StoredStudy
    ) -> None:
        found, only = self.finals(
            storage_url,
            storage,
            best=right_with(152),
            default=right_with(150, shift=20),
            fixed_features=right_with(100),
        )
        assert (found.winner, found.recommended) == (only, "default")
        assert found.why is not None
        assert found.why.startswith(
            f"{only}, the best mean of the candidates, is 1.0 points ahead of default by no more "
            "than chance explains (95 %: "
        )

    def test_fixed_features_where_nothing_beats_them(
        self, storage_url: str, storage: RDBStorage, search: StoredStudy
    ) -> None:
        found, _ = self.finals(
            storage_url,
            storage,
            best=right_with(150),
            default=right_with(149, shift=9),
            fixed_features=right_with(160, shift=9),
        )
        assert found.recommended == "fixed features"
        assert "is 5.0 points behind fixed features (95 %" in str(found.why)

    def test_the_default_where_it_alone_beats_fixed_features(
        self, storage_url: str, storage: RDBStorage, search: StoredStudy
    ) -> None:
        found, _ = self.finals(
            storage_url,
            storage,
            best=right_with(152, shift=40),
            default=right_with(160),
            fixed_features=right_with(148),
        )
        assert not any(each.is_clear for each in found.comparisons)
        assert found.recommended == "default"

    def test_fixed_features_that_cannot_be_had_are_said_to_be_missing(
        self, storage_url: str, storage: RDBStorage, search: StoredStudy
    ) -> None:
        found, only = self.finals(
            storage_url, storage, best=right_with(180), default=right_with(140), fixed_features=None
        )
        assert (found.complete, found.recommended) == (True, only)
        assert str(found.why).endswith(
            "fixed features could not be had, so nothing is compared with them"
        )
        assert found.finalist("fixed features").failed == 1

    def test_a_candidate_that_fails_at_a_seed_comes_behind(
        self, storage_url: str, storage: RDBStorage, search: StoredStudy
    ) -> None:
        queued = queue(storage_url)
        steady, brittle = (each.name for each in queued.plan.candidates)

        def right(trial: FrozenTrial) -> np.ndarray | None:
            if trial.user_attrs[RUN_OF] == brittle:
                return None if trial.user_attrs["seed"] == 2 else right_with(199)
            return right_with(150)

        end_all(storage, right)
        found = read_finals(NAME, storage_url)
        assert found is not None
        assert found.complete
        assert [each.name for each in found.finalists[:2]] == [steady, brittle]
        assert found.finalists[1].failed == 1

    def test_nothing_is_recommended_where_all_failed(
        self, storage_url: str, storage: RDBStorage, search: StoredStudy
    ) -> None:
        found, _ = self.finals(storage_url, storage, best=None, default=None, fixed_features=None)
        assert (found.complete, found.winner, found.recommended) == (True, None, None)
        assert finals_line(found) == (
            "finalists: every run of every candidate failed; tlsearch status tells why"
        )
        assert finals_lines(found)[-1].startswith("recommended: nothing; every run")

    def test_the_view_says_the_same(
        self, storage_url: str, storage: RDBStorage, search: StoredStudy
    ) -> None:
        from tests.db.rows import Rows

        found, _ = self.finals(
            storage_url,
            storage,
            best=right_with(180),
            default=right_with(150),
            fixed_features=right_with(140),
        )
        rows = Rows(storage_url)
        shown = rows.ask("SELECT study, finalist, n, mean, sd FROM tlsearch.finalists ORDER BY 2")
        rows.session.close()
        expected = sorted((NAME, f.name, len(f.runs), f.mean, f.sd) for f in found.finalists)
        assert [row[:3] for row in shown] == [row[:3] for row in expected]
        assert [row[3] for row in shown] == pytest.approx([row[3] for row in expected])
