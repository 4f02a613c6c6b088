"""Which knob paid, on rows that are made directly in the database."""

from dataclasses import replace

import numpy as np
import optuna
import pytest
from optuna.storages import RDBStorage

from tests.db.searches import NAME, add_trial, end_run, right_with, write_search
from tlsearch.cli.knobs_table import knobs_as_json, knobs_lines
from tlsearch.errors import InputError, StudyError
from tlsearch.records import DEPTHS, HYPERPARAMETER_NAMES, Hyperparameters
from tlsearch.records.finals_plan import RUN_OF
from tlsearch.report.paired import paired_gain
from tlsearch.store.connect import open_storage
from tlsearch.store.controls import read_controls
from tlsearch.store.runs import run_trials
from tlsearch.store.stored_study import StoredStudy
from tlsearch.store.studies import find_study
from tlsearch.studies.knobs import read_knobs
from tlsearch.studies.queue_knobs import queue_knobs

MEMBER = f"{NAME}/knobs"
# Against the default: more layers, a higher rate, low layers at a lower one; alpha acts on nothing.
WINNER = Hyperparameters(2, 0.05, 0.3, 4, 0.01, 1e-4, 0)
KNOBS = ("reinit_layers", "high_lr", "low_lr_ratio + low_layers")


@pytest.fixture
def storage(storage_url: str) -> RDBStorage:
    return open_storage(storage_url)


@pytest.fixture
def search(storage: RDBStorage) -> StoredStudy:
    study = write_search(storage)
    add_trial(storage, study, 0.70, origin="default")
    add_trial(storage, study, 0.90, WINNER)
    return study


def end_all(storage: RDBStorage, rights: dict[str, int | None]) -> None:
    for trial in run_trials(storage, find_study(storage, MEMBER).study_id):
        n = rights[trial.user_attrs[RUN_OF]]
        shift = trial.user_attrs["seed"]
        end_run(storage, trial, None if n is None else right_with(n, shift))


def test_one_knob_at_a_time_there_and_back(
    storage_url: str, storage: RDBStorage, search: StoredStudy
) -> None:
    queued = queue_knobs(NAME, storage_url, seeds=2)
    assert (queued.created, queued.winner_now) == (True, "trial 1")
    trials = run_trials(storage, find_study(storage, MEMBER).study_id)
    assert len(trials) == (2 + 2 * 3) * 2
    assert [trial.user_attrs["seed"] for trial in trials] == [1] * 8 + [2] * 8
    default = search.space.plain_default()
    params = {t.user_attrs[RUN_OF]: t.system_attrs["fixed_params"] for t in trials}
    assert params["default"] == default.as_dict()
    assert params["winner"] == WINNER.as_dict()
    assert params["default with high_lr"] == replace(default, high_lr=0.05).as_dict()
    both = replace(default, low_lr_ratio=0.3, low_layers=4).as_dict()
    assert params["default with low_lr_ratio + low_layers"] == both
    assert params["winner without reinit_layers"] == replace(WINNER, reinit_layers=1).as_dict()
    member = find_study(storage, MEMBER)
    assert read_controls(storage.engine, member.study_id).trials == 16
    assert member.spec.checkpoints.keep_best == 0


def test_gains_and_losses(storage_url: str, storage: RDBStorage, search: StoredStudy) -> None:
    queue_knobs(NAME, storage_url, seeds=2)
    rights: dict[str, int | None] = {"default": 120, "winner": 180}
    rights |= {f"default with {name}": 120 for name in KNOBS}
    rights |= {f"winner without {name}": 180 for name in KNOBS}
    rights |= {"default with high_lr": 160, "winner without high_lr": 130}
    rights |= {"winner without reinit_layers": None}
    end_all(storage, rights)
    found = read_knobs(NAME, storage_url)
    assert found is not None
    assert found.complete
    assert (found.winner, found.done, found.planned) == ("trial 1", 16, 16)
    assert tuple(knob.name for knob in found.knobs) == KNOBS
    assert found.same == ("alpha", "beta", "l2sp_layers")
    layers, rate, low = found.knobs
    assert (rate.default, rate.winner) == ((0.01,), (0.05,))
    assert (low.default, low.winner) == ((1.0, 0), (0.3, 4))
    assert rate.added is not None
    assert rate.taken is not None
    ours, theirs = (np.stack([right_with(n, seed) for seed in (1, 2)]) for n in (160, 120))
    expected = paired_gain(ours, theirs)
    assert rate.added.gain == pytest.approx(0.2)
    assert (rate.added.error, rate.added.low, rate.added.high, rate.added.n_seeds) == (
        expected.error,
        expected.low,
        expected.high,
        2,
    )
    assert rate.taken.gain == pytest.approx(0.25)
    assert layers.added is not None
    assert (layers.added.gain, layers.taken) == (0, None), "its runs failed"
    assert found.whole is not None
    assert found.whole.gain == pytest.approx(0.3)
    assert (rate.fanova, rate.ped_anova) == (None, None), "two trials tell nothing"
    text = "\n".join(knobs_lines(found))
    assert "as in the default, so nothing to tell: alpha, beta, l2sp_layers" in text
    assert "trial 1 over the plain default: +30.0 [" in text
    assert knobs_as_json(found)["knobs"][1]["taken"]["gain"] == pytest.approx(0.25)


def test_optunas_importances_stand_beside_it(storage_url: str, storage: RDBStorage) -> None:
    """The rate decides everything here; the floor, which lies at no point, is left out."""
    search = write_search(storage)
    rng = np.random.default_rng(0)
    for _ in range(30):
        rate, alpha = (float(10 ** rng.uniform(-3, -1)) for _ in range(2))
        depths = dict(zip(sorted(DEPTHS), rng.integers(1, (10, 10, 3)).tolist(), strict=True))
        value = float(0.5 + 0.1 * np.log10(rate / 1e-3) + 0.001 * rng.random())
        params = replace(WINNER, high_lr=rate, alpha=alpha, **depths)
        add_trial(storage, search, value, params)
    add_trial(storage, search, 0.01, origin="fixed_features")
    queue_knobs(NAME, storage_url, seeds=2)
    found = read_knobs(NAME, storage_url)
    assert found is not None
    by_name = {knob.name: knob for knob in found.knobs}
    assert "high_lr" in by_name
    assert (by_name["high_lr"].fanova or 0) > 0.9
    shares = {knob.name: knob.ped_anova or 0 for knob in found.knobs}
    assert shares["high_lr"] == max(shares.values()) > 0.4
    study = optuna.create_study(direction="maximize")
    complete = storage.get_all_trials(search.study_id)[:-1]
    study.add_trials([t for t in complete if set(HYPERPARAMETER_NAMES) <= set(t.params)])
    fanova = optuna.importance.FanovaImportanceEvaluator(seed=0)
    expected = optuna.importance.get_param_importances(study, evaluator=fanova)
    assert by_name["high_lr"].fanova == pytest.approx(expected["high_lr"])


def test_more_seeds_are_added_and_fewer_refused(
    storage_url: str, storage: RDBStorage, search: StoredStudy
) -> None:
    queue_knobs(NAME, storage_url, seeds=2)
    assert len(queue_knobs(NAME, storage_url, seeds=3).plan.runs()) == 24
    trials = run_trials(storage, find_study(storage, MEMBER).study_id)
    assert [trial.user_attrs["seed"] for trial in trials[16:]] == [3] * 8
    with pytest.raises(StudyError, match=r"--seeds 2: .* has 3 already"):
        queue_knobs(NAME, storage_url, seeds=2)
    with pytest.raises(InputError, match="--seeds 1: must lie between 2 and 100"):
        queue_knobs(NAME, storage_url, seeds=1)


def test_the_best_trials_at_the_end_of_a_range_are_said(
    storage_url: str, storage: RDBStorage, search: StoredStudy
) -> None:
    for n in range(5):
        value = 0.95 + n / 1000
        add_trial(storage, search, value, replace(WINNER, high_lr=0.09 + n / 1000, beta=3e-4))
    queue_knobs(NAME, storage_url, seeds=2)
    found = read_knobs(NAME, storage_url)
    assert found is not None
    assert [(end.name, end.end) for end in found.ends if end.name == "high_lr"] == [
        ("high_lr", "upper")
    ]
    assert "--set 'space.high_lr=[0.001,0.3]'" in "\n".join(knobs_lines(found))


def test_without_a_trial_there_is_no_winner(storage_url: str, storage: RDBStorage) -> None:
    write_search(storage)
    with pytest.raises(StudyError, match="no complete trial besides its baselines"):
        queue_knobs(NAME, storage_url)
    assert read_knobs(NAME, storage_url) is None
