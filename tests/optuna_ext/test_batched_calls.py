"""What single calls of BatchedStorage do: as on Optuna's storage, but for when they are written."""

import optuna
import pytest
import sqlalchemy as sa
from optuna.exceptions import DuplicatedStudyError, UpdateFinishedTrialError
from optuna.trial import TrialState, create_trial

from tests.conftest import execute
from tests.optuna_ext.test_batched import batched, outcome, rdb, study_in
from tlsearch.optuna_ext.storage import BatchedStorage

__all__ = ["batched", "rdb"]


@pytest.fixture(params=["optuna", "batched"])
def storage(request, rdb):
    """Either storage: each test says the same of both."""
    return rdb if request.param == "optuna" else BatchedStorage(rdb)


class TestTrials:
    """Each of these says the same of both storages."""

    def test_several_objectives(self, storage):
        study = optuna.create_study(storage=storage, directions=["maximize", "minimize"])
        study.optimize(lambda t: (t.suggest_float("x", 0, 1), 0.5), n_trials=4)
        assert len(study.best_trials) == 1
        assert study.directions[0].name == "MAXIMIZE"

    def test_odd_reports(self, storage):
        study = study_in(storage)
        trial = study.ask()
        for step, value in enumerate((float("nan"), float("inf"), -float("inf"), 0.1 + 0.2)):
            trial.report(value, step)
        study.tell(trial, state=TrialState.PRUNED)
        found = study.trials[0].intermediate_values
        assert repr(found) == "{0: nan, 1: inf, 2: -inf, 3: 0.30000000000000004}"
        assert study.trials[0].value == 0.1 + 0.2

    def test_attributes_are_as_json_has_them_and_copies(self, storage):
        study = study_in(storage)
        trial, mutable = study.ask(), [1]
        trial.set_user_attr("list", mutable)
        trial.set_user_attr("tuple", (1, 2))
        trial.set_user_attr("keys", {1: "a"})
        mutable.append(2)
        for _ in range(2):
            found = study.trials[0].user_attrs
            assert found == {"list": [1], "tuple": [1, 2], "keys": {"1": "a"}}
            study.tell(trial, 0.5, skip_if_finished=True)

    def test_a_value_that_json_does_not_know_is_refused_when_it_is_set(self, storage):
        study = study_in(storage)
        trial = study.ask()
        with pytest.raises(TypeError, match="not JSON serializable"):
            trial.set_user_attr("odd", object())
        trial.set_user_attr("nul and surrogate", "a\0b\ud800")
        study.tell(trial, 0.5)
        assert study.trials[0].user_attrs == {"nul and surrogate": "a\0b\ud800"}

    def test_a_parameter_that_changed_its_kind_is_refused(self, storage):
        study = study_in(storage)
        study.optimize(lambda t: t.suggest_float("x", 0, 1), n_trials=1)
        trial = study.ask()
        with pytest.raises(ValueError, match="Cannot set different distribution kind"):
            trial.suggest_int("x", 0, 1)
        study.tell(trial, state=TrialState.FAIL)
        trial = study.ask()
        trial.suggest_categorical("k", ["a", "b"])
        study.tell(trial, 0.5)
        trial = study.ask()
        with pytest.raises(ValueError, match="dynamic value space"):
            trial.suggest_categorical("k", ["a", "b", "c"])
        trial.suggest_float("x", 0, 9)  # another range is allowed
        study.tell(trial, 0.5)

    def test_finished_trials_do_not_change(self, storage):
        study = study_in(storage)
        trial = study.ask()
        trial.suggest_float("x", 0, 1)
        study.tell(trial, 0.5)
        for touch in (
            lambda: trial.set_user_attr("a", 1),
            lambda: study._storage.set_trial_system_attr(trial._trial_id, "a", 1),
            lambda: trial.report(0.1, 1),
            lambda: study._storage.set_trial_state_values(
                trial._trial_id, TrialState.COMPLETE, [1]
            ),
            lambda: trial.suggest_float("y", 0, 1),
        ):
            with pytest.raises(UpdateFinishedTrialError):
                touch()
        with pytest.raises(ValueError, match="Cannot tell a COMPLETE trial"):
            study.tell(trial, 0.7)
        assert study.tell(trial, 0.7, skip_if_finished=True).value == 0.5
        assert outcome(study)[0][2:4] == ([0.5], {"x": trial.params["x"]})

    def test_telling_rubbish(self, storage):
        study = study_in(storage)
        with pytest.raises(ValueError, match="did not match"):
            study.tell(study.ask(), [0.5, 0.5], state=TrialState.COMPLETE)
        study.tell(0, 0.5)
        study.optimize(lambda t: float("nan"), n_trials=1)
        assert [t.state.name for t in study.trials] == ["COMPLETE", "FAIL"]

    def test_queued_and_added_trials(self, storage):
        study = study_in(storage)
        study.enqueue_trial({"x": 0.25})
        study.enqueue_trial({"x": 0.25}, skip_if_exists=True)
        study.add_trial(create_trial(value=0.9, user_attrs={"old": True}))
        study.add_trial(create_trial(state=TrialState.RUNNING, intermediate_values={1: 0.5}))
        trial = study.ask()
        assert (trial.number, trial.suggest_float("x", 0, 1)) == (0, 0.25)
        assert [t.state.name for t in study.trials] == ["RUNNING", "COMPLETE", "RUNNING"]
        study.tell(2, 0.1)
        study.tell(0, 0.2)
        assert [t.value for t in study.trials] == [0.2, 0.9, 0.1]
        assert study.trials[2].intermediate_values == {1: 0.5}

    def test_two_studies_and_unknown_ones(self, storage):
        one, two = study_in(storage, study_name="one"), study_in(storage, study_name="two")
        for n, study in enumerate((one, two, one)):
            study.optimize(lambda t: t.suggest_float("x", 0, 1), n_trials=n + 1)
        assert (len(one.trials), len(two.trials)) == (4, 2)
        with pytest.raises(DuplicatedStudyError):
            study_in(storage, study_name="one")
        optuna.delete_study(study_name="one", storage=storage)
        for missing in (
            lambda: one.trials,
            one.ask,
            lambda: optuna.load_study(study_name="one", storage=storage),
            lambda: storage.get_trial(999),
            lambda: storage.set_trial_user_attr(999, "a", 1),
            lambda: storage.get_all_trials(999),
        ):
            with pytest.raises(KeyError):
                missing()
        assert len(two.trials) == 2

    def test_attributes_of_studies(self, storage):
        study = study_in(storage)
        study.set_user_attr("a", [1])
        study.set_metric_names(["accuracy"])
        assert study.user_attrs == {"a": [1]}
        assert study.metric_names == ["accuracy"]
        assert [s.study_name for s in optuna.get_all_study_summaries(storage)] == [study.study_name]

    def test_what_was_read_does_not_change(self, storage):
        study = study_in(storage)
        trial = study.ask()
        read = study.get_trials(deepcopy=False)
        trial.suggest_float("x", 0, 1)
        trial.report(0.5, 1)
        trial.set_user_attr("a", 1)
        study._storage.set_trial_system_attr(trial._trial_id, "a", 1)
        (before,) = read
        assert (before.params, before.distributions, before.intermediate_values) == ({}, {}, {})
        assert (before.user_attrs, before.system_attrs) == ({}, {})


class TestWriting:
    def test_nothing_is_written_before_it_is_flushed(self, rdb, batched):
        study = study_in(batched)
        trial = study.ask()
        trial.suggest_float("x", 0, 1)
        trial.report(0.5, 1)
        trial.set_user_attr("a", 1)
        assert batched.holds(trial._trial_id)
        there = rdb.get_trial(trial._trial_id)
        assert (there.params, there.intermediate_values, there.user_attrs) == ({}, {}, {})
        assert trial.params == study.trials[0].params != {}
        batched.flush(trial._trial_id)
        assert not batched.holds(trial._trial_id)
        there = rdb.get_trial(trial._trial_id)
        assert (there.params, there.user_attrs) == (trial.params, {"a": 1})
        assert there.intermediate_values == {1: 0.5}
        batched.flush(trial._trial_id)  # nothing is left to be written

    def test_a_report_takes_along_what_is_due(self, rdb):
        study = study_in(BatchedStorage(rdb, flush_seconds=0))
        trial = study.ask()
        trial.suggest_float("x", 0, 1)
        trial.report(0.5, 1)
        assert rdb.get_trial(trial._trial_id).params == trial.params

    def test_a_step_that_is_reported_again(self, storage):
        study = study_in(storage)
        trial = study.ask()
        study._storage.set_trial_intermediate_value(trial._trial_id, 1, 0.1)
        study._storage.set_trial_intermediate_value(trial._trial_id, 1, 0.2)
        study.tell(trial, 0.5)
        assert study.trials[0].intermediate_values == {1: 0.2}

    def test_what_could_not_be_written_is_written_later(self, rdb, batched, storage_url):
        study = study_in(batched)
        trial = study.ask()
        trial.set_user_attr("a", 1)
        execute(storage_url, "ALTER TABLE trial_user_attributes RENAME TO away")
        with pytest.raises(sa.exc.ProgrammingError):
            batched.flush(trial._trial_id)
        execute(storage_url, "ALTER TABLE away RENAME TO trial_user_attributes")
        study.tell(trial, 0.5)
        assert rdb.get_trial(trial._trial_id).user_attrs == {"a": 1}

    def test_all_of_it_or_nothing(self, rdb, batched, storage_url):
        study = study_in(batched)
        trial = study.ask()
        trial.suggest_float("x", 0, 1)
        trial.report(0.5, 1)
        execute(storage_url, "ALTER TABLE trial_intermediate_values RENAME TO away")
        with pytest.raises(sa.exc.ProgrammingError):
            batched.flush(trial._trial_id)
        execute(storage_url, "ALTER TABLE away RENAME TO trial_intermediate_values")
        assert rdb.get_trial(trial._trial_id).params == {}

    def test_a_trial_that_was_ended_elsewhere(self, rdb, batched):
        study = study_in(batched, study_name="s")
        trial = study.ask()
        trial.set_user_attr("mine", 1)
        optuna.load_study(study_name="s", storage=rdb).tell(trial.number, 0.9)
        assert [t.value for t in study.get_trials(states=(TrialState.COMPLETE,))] == [0.9]
        assert study.get_trials(states=(TrialState.RUNNING,)) == []
        with pytest.raises(UpdateFinishedTrialError):
            study.tell(trial, 0.1)
        assert study.trials[0].value == 0.9
        assert rdb.get_trial(trial._trial_id).user_attrs == {}, "another process ended it first"

    def test_a_trial_that_was_deleted(self, rdb, batched):
        study = study_in(batched, study_name="s")
        trial = study.ask()
        trial.set_user_attr("mine", 1)
        optuna.delete_study(study_name="s", storage=rdb)
        with pytest.raises(KeyError):
            study.tell(trial, 0.1)
        assert not batched.holds(trial._trial_id)

    def test_adopting_a_trial_that_is_not_open(self, rdb, batched):
        study = study_in(batched)
        study.tell(study.ask(), 0.5)
        for trial_id in (1, 999):
            with pytest.raises(KeyError, match="neither queued nor runs"):
                batched.adopt(study._study_id, trial_id)

    def test_take_hands_over_what_is_pending(self, rdb, batched):
        study = study_in(batched)
        trial = study.ask()
        x = trial.suggest_float("x", 0, 1)
        trial.set_user_attr("a", 1)
        pending = batched.take(trial._trial_id)
        assert [each[:2] for each in pending.params_as_json()] == [("x", x)]
        assert pending.user_attrs == {"a": 1}
        study.tell(trial, 0.5)
        assert rdb.get_trial(trial._trial_id).params == {}, "the caller of take writes it"
