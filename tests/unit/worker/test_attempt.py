"""One attempt at a trial: a real training, its endings recorded by a server in memory."""

import inspect
import json
import time
from collections.abc import Callable
from dataclasses import replace

import pytest
import sqlalchemy as sa
import torch
from optuna.trial import TrialState

from tests.unit.worker.conftest import EPOCHS, PLAIN, World
from tlsearch.errors import BackboneError, MemoryShortage
from tlsearch.finetune import curve_of, fine_tune
from tlsearch.optuna_ext.pending import Pending
from tlsearch.records import Decision
from tlsearch.store.claims import Claim, Refusal
from tlsearch.worker import attempt as attempt_module
from tlsearch.worker import floor as floor_module
from tlsearch.worker import keepsakes
from tlsearch.worker.floor import FixedFeatures
from tlsearch.worker.progress import HarmlessProgress


def undisturbed(world: World, params=PLAIN) -> dict[int, float]:
    """The curve of the same training in one piece."""
    result = fine_tune(
        world.materials.backbone,
        world.materials.data,
        world.context.study.spec.recipe,
        params,
        torch.device("cpu"),
        lambda _: Decision.CONTINUE,
    )
    return {report.epoch: report.val_accuracy for report in result.curve}


def stop_at(world: World, epoch: int) -> None:
    """Ask the worker to stop at the end of an epoch."""

    def on_epoch(now: int) -> None:
        if now == epoch:
            world.signals.requested.set()

    world.told.on_epoch = on_epoch


def wait_for(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not true():
        assert time.monotonic() < deadline, "never happened"
        time.sleep(0.005)


def raise_at(world: World, epoch: int, error: BaseException) -> None:
    def on_epoch(now: int) -> None:
        if now == epoch:
            raise error

    world.told.on_epoch = on_epoch


class TestComplete:
    def test_curve_value_and_model_are_recorded(self, world: World):
        trial = world.server.queue(PLAIN)
        record = world.run()
        expected = undisturbed(world)
        assert record is not None
        assert (record.state, trial.state) == ("complete", "complete")
        assert trial.curve == expected
        assert trial.value == expected[EPOCHS]
        assert trial.attrs["seconds"] > 0
        assert trial.attrs["times"]["images_per_second"] > 0
        assert not [key for key in trial.attrs if key.startswith("energy")]  # of a CPU
        assert world.trials.told == [(trial.trial_id, TrialState.COMPLETE, expected[EPOCHS])]
        assert trial.has_model
        assert f"{trial.tokens[0]}.safetensors" in world.file_names()
        assert world.ended == [record]
        assert world.trials.closed == [trial.trial_id]

    def test_pictures_are_kept_beside_the_model(self, world: World):
        trial = world.server.queue(PLAIN)
        world.run()
        shown = [key for key in trial.attrs if key.startswith("artifacts:")]
        assert len(shown) == 3  # the curve, the confused classes, sample images
        assert {key.removeprefix("artifacts:") for key in shown} <= world.file_names()

    def test_pictures_that_fail_cost_nothing(self, world: World, monkeypatch):
        def no_font(*_):
            raise RuntimeError("no font has this character")

        monkeypatch.setattr(keepsakes, "draw_pictures", no_font)
        trial = world.server.queue(PLAIN)
        world.run()
        assert (trial.state, trial.has_model) == ("complete", True)
        said = [line for line in world.told.lines if "no pictures" in line]
        assert said == [
            "this trial has no pictures: RuntimeError: no font has this character",
        ]

    def test_a_sampler_that_fails_costs_nothing(self, world: World):
        def refuse():
            raise ValueError("the sampler is confused")

        world.trials.on_ended = refuse
        trial = world.server.queue(PLAIN)
        world.run()
        assert (trial.state, trial.has_model) == ("complete", True)
        assert any("the sampler is confused" in line for line in world.told.lines)

    @pytest.mark.parametrize("number", range(3))
    def test_class_names_that_nothing_can_draw_cost_nothing(self, world: World, number: int):
        names = ["\udce9" * 10, "\0" * 10, "$\\frac{" * 10][number]
        data = replace(world.context.study.data, class_names=tuple(names[:10]))
        world.context = replace(world.context, study=replace(world.context.study, data=data))
        trial = world.server.queue(PLAIN)
        world.run()
        assert (trial.state, trial.has_model) == ("complete", True)
        assert len([key for key in trial.attrs if key.startswith("artifacts:")]) == 3

    @pytest.mark.parametrize("error", [OSError(28, "No space left"), UnicodeError("'ascii'")])
    def test_progress_that_cannot_be_shown_costs_nothing(self, world: World, error, caplog):
        def refuse(*_):
            raise error

        for name in ("epoch", "ended", "preparing", "claimed"):
            setattr(world.told, name, refuse)
        world.context = replace(world.context, progress=HarmlessProgress(world.told))
        trial = world.server.queue(PLAIN)
        world.run()
        assert (trial.state, trial.value) == ("complete", undisturbed(world)[EPOCHS])
        assert len([r for r in caplog.records if "progress cannot be shown" in r.message]) == 1

    def test_attributes_that_the_database_refuses_cost_nothing(self, world: World, monkeypatch):
        complete = world.claims.complete

        def refuse(*args, **values):
            if values["system_attrs"]:
                raise sa.exc.DataError("INSERT", {}, Exception("value too long"))
            complete(*args, **values)

        monkeypatch.setattr(world.claims, "complete", refuse)
        trial = world.server.queue(PLAIN)
        world.run()
        assert (trial.state, trial.has_model) == ("complete", True)
        assert trial.value == undisturbed(world)[EPOCHS]
        assert trial.attrs["seconds"] > 0
        assert len(world.file_names()) == 1, "the pictures are removed"
        assert len([line for line in world.told.lines if "value too long" in line]) == 1

    def test_attributes_of_a_sampler_that_no_json_takes_cost_nothing(self, world: World):
        pending = Pending(user_attrs={"odd": object()})
        world.trials.take_pending = lambda trial_id: pending  # type: ignore[method-assign]
        trial = world.server.queue(PLAIN)
        checked = world.claims.complete

        def as_json(*args, **values):
            json.dumps(values["user_attrs"])
            checked(*args, **values)

        world.claims.complete = as_json  # type: ignore[method-assign]
        world.run()
        assert (trial.state, trial.value) == ("complete", undisturbed(world)[EPOCHS])

    @pytest.mark.parametrize("method", ["remove", "save"])
    def test_a_place_of_files_that_fails_in_any_way_costs_nothing(
        self, world: World, monkeypatch, method
    ):
        def confused(*_):
            raise KeyError("no such bucket")

        monkeypatch.setattr(world.context.artifacts, method, confused)
        trial = world.server.queue(PLAIN)
        world.run()
        assert (trial.state, trial.value) == ("complete", undisturbed(world)[EPOCHS])

    def test_a_pruner_that_fails_costs_nothing(self, world: World):
        def confused(_):
            raise ZeroDivisionError("no trials")

        world.trials.should_prune = confused  # type: ignore[method-assign]
        trial = world.server.queue(PLAIN, queued=False)
        world.run()
        assert trial.state == "complete"
        assert any("ZeroDivisionError" in line for line in world.told.lines)

    @pytest.mark.parametrize("world", [{"checkpoints": {"keep_best": 0}}], indirect=True)
    def test_no_model_where_none_is_to_be_kept(self, world: World):
        trial = world.server.queue(PLAIN)
        world.run()
        assert trial.state == "complete"
        assert not trial.has_model
        assert world.file_names() == set()

    def test_a_full_disk_costs_the_model_alone(self, world: World, monkeypatch):
        def full(*_):
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(world.context.artifacts, "save", full)
        trial = world.server.queue(PLAIN)
        world.run()
        assert (trial.state, trial.has_model) == ("complete", False)
        assert "No space left" in trial.attrs["checkpoint_problem"]


class TestPruned:
    def test_it_stops_where_the_pruner_says(self, world: World):
        world.trials.prune_after = 2
        trial = world.server.queue(PLAIN, queued=False)
        world.run()
        assert trial.state == "pruned"
        assert sorted(trial.curve) == [1, 2]
        assert trial.value == trial.curve[2] == undisturbed(world)[2]
        assert world.trials.told[0][1] is TrialState.PRUNED
        assert world.file_names() == set()

    def test_what_was_queued_on_purpose_runs_to_its_end(self, world: World):
        world.trials.prune_after = 2
        trial = world.server.queue(PLAIN)
        world.run()
        assert trial.state == "complete"


class TestDuplicate:
    def test_the_result_of_the_first_is_taken_over(self, world: World):
        first = world.server.queue(PLAIN)
        world.run()
        trained = list(world.told.epochs)
        second = world.server.queue(PLAIN)
        world.run()
        assert world.told.epochs == trained, "nothing is trained again"
        assert (second.state, second.value, second.curve) == ("complete", first.value, first.curve)
        assert second.attrs["duplicate_of"] == 0
        assert second.attrs["seconds"] == 0.0
        assert not second.has_model


class TestFailed:
    def test_a_loss_that_is_not_finite_fails_the_trial_at_once(self, world: World):
        trial = world.server.queue(replace(PLAIN, high_lr=1e30))
        record = world.run()
        assert record is not None
        assert trial.state == "fail"
        assert trial.reason is not None
        kind, message = trial.reason
        assert kind == "nan"
        assert message.startswith("the loss is not finite in epoch")
        assert (record.reason_kind, record.reason) == trial.reason

    def test_an_exception_is_tried_again_until_it_is_enough(self, world: World):
        raise_at(world, 2, ValueError("half a \ud800 character and a \0\nsecond line"))
        trial = world.server.queue(PLAIN)
        record = world.run()
        assert record is not None
        assert (trial.state, record.state) == ("waiting", "waiting")
        assert trial.reason == ("ValueError", "half a \\ud800 character and a  ")
        assert "in on_epoch" in trial.attrs["traceback"]
        world.run()
        assert trial.state == "waiting"
        world.run()
        assert trial.state == "fail"

    @pytest.mark.parametrize(
        "error",
        [
            torch.OutOfMemoryError("CUDA out of memory"),
            RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9"),
            MemoryError(),
            MemoryShortage("too little memory for the decoded images"),
        ],
    )
    def test_too_little_memory_is_tried_again(self, world: World, monkeypatch, error):
        def full(*_, **__):
            raise error

        monkeypatch.setattr("tlsearch.finetune.training.validate", full)
        trial = world.server.queue(PLAIN)
        world.run()
        assert trial.state == "waiting"
        assert trial.reason is not None
        assert trial.reason[0] == "out_of_memory"
        assert "traceback" not in trial.attrs


class TestReleased:
    def test_a_signal_releases_it_and_another_worker_ends_it_bit_equal(self, world: World):
        trial = world.server.queue(PLAIN)
        stop_at(world, 2)
        with pytest.raises(SystemExit):
            world.run()
        assert trial.state == "waiting"
        assert trial.reason == ("preempted", "SIGTERM on host:1:cpu")
        (name,) = world.file_names()
        curve = curve_of((world.files / name).read_bytes())
        assert len(curve) == trial.checkpoint_epoch == 2
        world.signals.requested = type(world.signals.requested)()
        world.told.on_epoch = lambda epoch: None
        world.told.epochs.clear()
        world.run()
        assert world.told.epochs == [3, 4], "the first two are not trained again"
        assert trial.attrs["first_epoch"] == 3
        assert trial.curve == undisturbed(world)

    def test_a_signal_while_it_is_claimed(self, world: World):
        trial = world.server.queue(PLAIN)
        runner = world.runner
        claim = runner.claim()
        assert isinstance(claim, Claim)
        world.signals.requested.set()
        with pytest.raises(SystemExit) as ended:
            runner.run(claim)
        assert ended.value.code == 143
        assert (trial.state, world.told.epochs) == ("waiting", [])

    @pytest.mark.parametrize("verdict", ["paused", "stopped", "budget"])
    def test_what_the_study_wants_is_the_reason(self, world: World, verdict):
        trial = world.server.queue(PLAIN)

        def on_epoch(epoch: int) -> None:
            world.server.verdict = Refusal(verdict, "somebody said so")
            world.server.calls.clear()
            wait_for(lambda: "report" in world.server.calls)

        world.told.on_epoch = on_epoch
        assert world.run() is None
        assert trial.state == "waiting"
        assert trial.reason == (verdict, "somebody said so")

    def test_closed_output_releases_it_and_ends_the_worker(self, world: World):
        raise_at(world, 2, SystemExit(1))
        trial = world.server.queue(PLAIN)
        with pytest.raises(SystemExit) as ended:
            world.run()
        assert ended.value.code == 1
        assert trial.reason == ("preempted", "output closed on host:1:cpu")

    def test_a_damaged_checkpoint_lets_it_begin_again(self, world: World):
        trial = world.server.queue(PLAIN)
        stop_at(world, 2)
        with pytest.raises(SystemExit):
            world.run()
        (path,) = world.files.iterdir()
        path.write_bytes(path.read_bytes()[:-1] + b"\xff")
        world.signals.requested = type(world.signals.requested)()
        world.told.on_epoch = lambda epoch: None
        world.told.epochs.clear()
        world.run()
        assert world.told.epochs == [1, 2, 3, 4]
        assert trial.curve == undisturbed(world)


class TestLost:
    def test_nothing_is_recorded_of_a_trial_that_is_anothers(self, world: World):
        trial = world.server.queue(PLAIN)

        def on_epoch(epoch: int) -> None:
            if epoch == 2:
                world.server.take_over(trial)

        world.told.on_epoch = on_epoch
        assert world.run() is None
        assert (trial.state, trial.value, trial.reason) == ("running", None, None)
        assert world.ended == []

    def test_files_of_a_deleted_trial_are_removed(self, world: World):
        trial = world.server.queue(PLAIN)

        def on_epoch(epoch: int) -> None:
            if epoch == 3:
                del world.server.trials[trial.trial_id]

        world.told.on_epoch = on_epoch
        assert world.run() is None
        assert world.file_names() == set()


class TestOutage:
    def test_epochs_are_held_and_delivered_once_the_database_is_back(self, world: World):
        trial = world.server.queue(PLAIN)

        def on_epoch(epoch: int) -> None:
            if epoch == 1:
                world.server.out_of_reach = 3

        world.told.on_epoch = on_epoch
        record = world.run()
        assert record is not None
        assert (trial.state, trial.curve) == ("complete", undisturbed(world))

    def test_the_pruner_is_not_asked_offline(self, world: World):
        """What it would compare with is old, and asking would fail."""
        world.trials.prune_after = 2
        trial = world.server.queue(PLAIN, queued=False)

        def on_epoch(epoch: int) -> None:
            if epoch == 2:
                world.server.out_of_reach = 10**6
                reported = world.server.calls.count("report")
                wait_for(lambda: world.server.calls.count("report") >= reported + 2)
            if epoch == 3:
                world.server.out_of_reach = 0
                world.trials.prune_after = None

        world.told.on_epoch = on_epoch
        world.run()
        assert trial.state == "complete"


def test_a_trial_passes_few_frames(world: World, monkeypatch):
    """From the claim to the engine a trial passes few functions, each a step of its own."""
    passed: list[str] = []

    def look(*args, **kwargs):
        frames = inspect.stack()[1:]
        passed.extend(f.function for f in frames if "tlsearch/worker" in f.filename)
        return fine_tune(*args, **kwargs)

    monkeypatch.setattr(attempt_module, "fine_tune", look)
    world.server.queue(PLAIN)
    world.run()
    assert passed == ["_fine_tune", "_train", "_ending", "run", "run"]


class TestFromTheProbe:
    @pytest.fixture(autouse=True)
    def own_cache(self, tmp_path, monkeypatch):
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))

    def test_the_classifier_starts_as_the_linear_probe(self, world: World):
        params = replace(PLAIN, reinit_layers=0)
        trial = world.server.queue(params)
        record = world.run()
        assert record is not None
        assert record.state == "complete"
        expected = fine_tune(
            world.materials.backbone,
            world.materials.data,
            world.context.study.spec.recipe,
            params,
            torch.device("cpu"),
            head=FixedFeatures(world.context, world.materials).head,
        )
        assert trial.curve == {e.epoch: e.val_accuracy for e in expected.curve}

    def test_a_network_without_pooled_features_fails_the_trial_alone(
        self, world: World, monkeypatch
    ):
        def none(*_, **__):
            raise BackboneError("it has no pooled features")

        monkeypatch.setattr(floor_module, "features_of_splits", none)
        world.server.queue(replace(PLAIN, reinit_layers=0))
        record = world.run()
        assert record is not None
        assert record.state == "fail"
        assert (record.reason_kind, record.reason) == ("no_features", "it has no pooled features")
