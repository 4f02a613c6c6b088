"""A trial whose objective is the log loss: real trainings, recorded in memory."""

from dataclasses import replace

import numpy as np
import pytest
from sklearn.metrics import log_loss

from tests.unit.worker.conftest import PLAIN, World
from tlsearch.finetune import fixed_features_model
from tlsearch.records import FIXED_FEATURES, Decision, EpochReport
from tlsearch.records.objective import OF_ONE_LABEL
from tlsearch.worker import attempt as attempt_module
from tlsearch.worker.floor import FixedFeatures


@pytest.fixture
def by_log_loss(world: World) -> World:
    """The same worker on a study with another objective."""
    study = world.context.study
    spec = study.spec.model_copy(update={"objective": "log_loss"})
    context = replace(world.context, study=replace(study, spec=spec, has_floor=True))
    return replace(world, context=context)


def test_its_value_is_the_negative_log_loss(by_log_loss: World, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    world = by_log_loss
    floor = world.server.queue(PLAIN)
    floor.attrs["origin"] = FIXED_FEATURES
    trial = world.server.queue(PLAIN)
    copy = world.server.queue(PLAIN)
    for _ in range(3):
        world.run()
    assert [each.state for each in (floor, trial, copy)] == ["complete"] * 3
    for each in (floor, trial, copy):
        assert each.attrs["objective"] == "log_loss"
        assert each.value == -each.attrs["val_log_loss"]
        assert {f"val_{name}" for name in OF_ONE_LABEL} <= each.attrs.keys()
        assert 0 < each.attrs["score_error"] < 1
    assert trial.curve[max(trial.curve)] == trial.value
    assert all(value < 0 for value in trial.curve.values())
    assert trial.has_model
    assert copy.attrs["duplicate_of"] == trial.trial_id - 1
    assert {"mean_score_with_fixed_features", "lead_error_over_fixed_features"} <= copy.attrs.keys()
    # The floor's value is what scikit-learn says of its model's probabilities.
    materials, context = world.materials, world.context
    head = FixedFeatures(context, materials).head
    model = fixed_features_model(
        materials.backbone, materials.data, context.study.spec.recipe, head, context.device
    )
    labels = materials.data.val.labels.numpy()
    probabilities = np.float64(model.evaluation.probabilities)
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    expected = log_loss(labels, probabilities, labels=range(10))
    assert floor.value == pytest.approx(-expected, rel=1e-5)


def test_a_log_loss_that_is_not_finite_fails_the_trial(by_log_loss: World, monkeypatch):
    world = by_log_loss
    trial = world.server.queue(PLAIN)

    def fine_tune(backbone, data, recipe, hyperparameters, device, on_epoch, **_):
        report = EpochReport(1, 0.5, 1.0, 1.0, 0.5, 0.5, float("inf"))
        assert on_epoch(report) is Decision.CONTINUE

    monkeypatch.setattr(attempt_module, "fine_tune", fine_tune)
    record = world.run()
    assert record is not None
    assert (trial.state, record.reason_kind) == ("fail", "nan")
    assert record.reason == "the log loss on validation is not finite in epoch 1"
