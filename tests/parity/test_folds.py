"""A fine-tuning by folds: each image is predicted once, by a network that has not seen it."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from tests.parity.conftest import stand_in
from tests.parity.trainings import (
    CPU,
    KNOBS,
    PLAIN_NETWORK,
    RECIPE,
    Run,
    assert_same_bits,
    assert_same_training,
    interrupted,
    probabilities,
)
from tests.several_labels import write_set
from tlsearch.data import load_catalog, load_for_recipe
from tlsearch.errors import CheckpointError
from tlsearch.finetune import FineTuneData, fine_tune
from tlsearch.finetune.checkpoint import load_weights, model_only
from tlsearch.finetune.figures import figures_of
from tlsearch.finetune.folded import seeded
from tlsearch.finetune.several_labels import figures_of_several
from tlsearch.finetune.training import Training
from tlsearch.records import Decision
from tlsearch.spec import DataSpec, RecipeSpec

FOLDS = 3
SHORT = RECIPE.model_copy(update={"epochs": 2, "batch_size": 20})
STEPS = 2 + 2 + 2 + 3  # of an epoch: of three networks with about 40 images, and of all 60
EVERYTHING = SHORT.model_copy(
    update={
        "optimizer": "adamw",
        "ema_epochs": 0.5,
        "batch_norm": "recalibrated",
        "mixup": 0.4,
        "dropout": 0.3,
        "eval_size": 40,
    }
)


def images_of(recipe: RecipeSpec = SHORT) -> FineTuneData:
    few = {"train_per_class": 4, "val_per_class": 2, "folds": FOLDS, "splits": "ranked"}
    spec = DataSpec.model_validate({"path": "builtin:fashion-mnist-30", **few})
    return FineTuneData.on_device(load_for_recipe(load_catalog(spec), recipe), CPU)


@pytest.fixture(scope="module")
def images() -> FineTuneData:
    return images_of()


@pytest.fixture(scope="module")
def whole(images) -> Run:
    return Run(images, PLAIN_NETWORK, SHORT)


def alone(data: FineTuneData, recipe: RecipeSpec) -> Run:
    """One network, by itself."""
    return Run(data, PLAIN_NETWORK, recipe)


def test_each_fold_is_predicted_by_a_network_of_the_others(images, whole):
    assert len(images.val) == 60
    labels = images.val.labels
    found = torch.tensor(probabilities(whole))
    for fold in range(FOLDS):
        held_out = images.held_out(fold)
        data = images.of_fold(fold)
        assert (len(data.train), len(data.val)) == (60 - len(held_out), len(held_out))
        assert torch.equal(data.val.labels, labels[held_out])
        own = alone(data, seeded(SHORT, fold))
        assert torch.equal(found[held_out], torch.tensor(probabilities(own)))
    expected = figures_of(found.log(), labels)
    assert whole.result.curve[-1].figures.accuracy == expected.accuracy
    assert whole.result.curve[-1].figures.log_loss == pytest.approx(expected.log_loss, abs=1e-5)


def test_the_model_that_is_kept_is_trained_on_all_images(images, whole):
    assert_same_bits(whole.weights, alone(replace(images, folds=None), SHORT).weights)
    kept = model_only(whole.checkpoints[-1])
    assert_same_bits(load_weights(kept), whole.weights)
    assert len(kept) < len(whole.checkpoints[-1]) / (2 * FOLDS)


@pytest.mark.parametrize("steps", [1, STEPS - 1, STEPS, STEPS + 4])
def test_going_on_from_any_network_of_an_epoch(images, whole, steps):
    data = interrupted(images, PLAIN_NETWORK, steps, SHORT)
    assert_same_training(Run(images, PLAIN_NETWORK, SHORT, resume=data), whole)


@pytest.mark.slow
def test_going_on_with_all_there_is_in_a_recipe():
    images = images_of(EVERYTHING)
    expected = Run(images, PLAIN_NETWORK, EVERYTHING)
    for steps in (3, STEPS - 1):
        data = interrupted(images, PLAIN_NETWORK, steps, EVERYTHING)
        assert_same_training(Run(images, PLAIN_NETWORK, EVERYTHING, resume=data), expected)


def test_after_all_epochs_the_predictions_are_in_the_file(images, whole, monkeypatch):
    monkeypatch.setattr(Training, "run_step", lambda *_: pytest.fail("a step was trained"))
    for data in (whole.checkpoints[-1], model_only(whole.checkpoints[-1])):
        again = Run(images, PLAIN_NETWORK, SHORT, resume=data)
        assert again.result.curve == whole.result.curve
        assert again.result.val_predictions == whole.result.val_predictions
        assert np.array_equal(probabilities(again), probabilities(whole))


def test_where_no_model_is_kept_there_is_no_network_for_it(images, whole):
    dropping = SHORT.model_copy(update={"dropout": 0.3})
    with_it = Run(images, PLAIN_NETWORK, dropping)
    without = Run(images, PLAIN_NETWORK, dropping, keep_model=False)
    assert without.figures == with_it.figures != whole.figures
    own = alone(images.of_fold(1), seeded(dropping, 1))
    held_out = images.held_out(1).numpy()
    assert np.array_equal(probabilities(without)[held_out], probabilities(own))
    data = interrupted(images, PLAIN_NETWORK, 5, dropping, keep_model=False)
    again = Run(images, PLAIN_NETWORK, dropping, resume=data, keep_model=False)
    assert_same_training(again, without)
    assert not load_weights(without.checkpoints[-1])
    with pytest.raises(CheckpointError, match="another training"):
        Run(images, PLAIN_NETWORK, dropping, keep_model=False, resume=with_it.checkpoints[0])


def test_of_several_labels_an_image(tmp_path):
    spec = DataSpec(path=str(write_set(tmp_path, 40)), multi_label=True, folds=2, test_fraction=0)
    recipe = SHORT.model_copy(update={"epochs": 1, "loss": "bce", "label_smoothing": 0.0})
    images = FineTuneData.on_device(load_for_recipe(load_catalog(spec), recipe), CPU)
    run = Run(images, PLAIN_NETWORK, recipe)
    assert probabilities(run).shape == (40, 3)
    logits = torch.tensor(probabilities(run)).logit()
    expected = figures_of_several(logits, images.val.labels)
    found = run.result.curve[-1].figures
    assert found is not None
    assert found.accuracy == expected.accuracy
    assert found.mean_average_precision == pytest.approx(expected.mean_average_precision)
    held_out = images.held_out(1)
    own = alone(images.of_fold(1), seeded(recipe, 1))
    assert np.allclose(probabilities(run)[held_out.numpy()], probabilities(own), atol=1e-6)


def test_a_pruned_one_ends_with_the_predictions_of_its_last_epoch(images, whole):
    stopped = fine_tune(stand_in(PLAIN_NETWORK), images, SHORT, KNOBS, CPU, lambda _: Decision.STOP)
    assert stopped.stopped
    assert stopped.curve[0].figures == whole.result.curve[0].figures
    assert len(stopped.val_predictions) == 60
