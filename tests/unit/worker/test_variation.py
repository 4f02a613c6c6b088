"""Trials with a seed of their own, and trials that train on the validation images as well."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.unit.worker.conftest import PLAIN, World
from tests.unit.worker.memory import MemoryTrial
from tlsearch.data import load_catalog, load_for_recipe, load_training_data
from tlsearch.finetune import FineTuneData, fine_tune
from tlsearch.measures import linear_probe
from tlsearch.records import AS_RECIPE, FIXED_FEATURES, FineTuneResult, Hyperparameters, Variation
from tlsearch.records.right import VAL_RIGHT, right_as_text, right_from_text
from tlsearch.worker.floor import features_of_study
from tlsearch.worker.held_trial import HeldTrial
from tlsearch.worker.optuna_trials import OpenTrial

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def queued(world: World, *, params: Hyperparameters = PLAIN, **attrs: object) -> MemoryTrial:
    trial = world.server.queue(params)
    trial.attrs |= attrs
    return trial


def trained(world: World, data: FineTuneData | None = None, **recipe: Any) -> FineTuneResult:
    """What the engine alone makes of the plain hyperparameters."""
    own = world.context.study.spec.recipe.model_copy(update=recipe)
    return fine_tune(world.materials.backbone, data or world.materials.data, own, PLAIN, CPU)


def curve_of(result: FineTuneResult) -> dict[int, float]:
    return {report.epoch: report.val_accuracy for report in result.curve}


def test_a_trial_trains_with_its_own_seed(world: World) -> None:
    trial = queued(world, seed=17)
    world.run()
    expected = trained(world, seed=17)
    assert trial.curve == curve_of(expected)
    assert trial.curve != curve_of(trained(world))
    labels = world.materials.data.val.labels.numpy()
    right = right_from_text(trial.attrs[VAL_RIGHT], len(labels))
    assert (right == (np.array(expected.val_predictions) == labels)).all()
    assert right.mean() == trial.value


def test_seeds_are_told_apart_and_equal_ones_are_duplicates(world: World) -> None:
    plain, of_recipe = queued(world), queued(world, seed=0)
    other, again = queued(world, seed=1), queued(world, seed=1)
    for _ in range(4):
        world.run()
    assert VAL_RIGHT not in plain.attrs  # a search does not keep it
    assert of_recipe.attrs["duplicate_of"] == 0
    assert "duplicate_of" not in other.attrs
    assert (again.attrs["duplicate_of"], again.value) == (2, other.value)
    assert again.attrs[VAL_RIGHT] == other.attrs[VAL_RIGHT]


def test_validation_images_are_trained_on_and_still_evaluated(world: World) -> None:
    plain = queued(world, seed=5)
    trial = queued(world, seed=5, train_on="train+val")
    world.run()
    world.run()
    data = world.materials.data
    assert (len(data.train), len(data.val)) == (40, 20)
    both = replace(data, train=data.train.joined(data.val))
    assert trial.curve == curve_of(trained(world, both, seed=5))
    assert trial.curve != plain.curve
    assert "duplicate_of" not in trial.attrs
    assert "the validation images are trained on too: val says nothing" in world.told.lines
    # Nothing is kept that would compare it on those images.
    assert not {VAL_RIGHT, "right_alone"} & set(trial.attrs)
    assert not any("artifacts" in key for key in trial.attrs)
    assert any("artifacts" in key for key in plain.attrs)


@pytest.mark.parametrize("world", [{"recipe": {"eval_size": 48}}], indirect=True)
def test_each_split_has_the_size_of_its_use(world: World) -> None:
    recipe = world.context.study.spec.recipe
    catalog = load_catalog(world.materials.data_spec)
    images = FineTuneData.on_device(load_for_recipe(catalog, recipe), CPU)
    world.materials = replace(world.materials, data=images)
    trial = queued(world, train_on="train+val")
    world.run()
    val = FineTuneData.on_device(load_training_data(catalog, 32, 1.0), CPU).val
    assert images.clean is not None
    clean = images.clean.joined(images.val)
    assert clean.sizes.unique().tolist() == [48]
    both = replace(images, train=images.train.joined(val), clean=clean)
    assert both.train.sizes.unique().tolist() == [32]
    assert trial.curve == curve_of(trained(world, both))


@pytest.mark.parametrize("train_on", ["train", "train+val"])
def test_an_interrupted_trial_ends_as_if_it_had_not_been(world: World, train_on: str) -> None:
    whole = queued(world, seed=3, train_on=train_on)
    world.run()
    model = (world.files / f"{whole.tokens[0]}.safetensors").read_bytes()
    world.server.trials.clear()  # or it would be a duplicate

    trial = queued(world, seed=3, train_on=train_on)

    def stop(epoch: int) -> None:
        if epoch == 2:
            world.signals.requested.set()

    world.told.on_epoch = stop
    with pytest.raises(SystemExit):
        world.run()
    assert trial.state == "waiting"
    world.signals.requested = type(world.signals.requested)()
    world.told.on_epoch = lambda _: None
    world.told.epochs.clear()
    world.run()
    assert world.told.epochs == [3, 4]  # it went on, it did not begin again
    assert (trial.curve, trial.value) == (whole.curve, whole.value)
    resumed = (world.files / f"{trial.tokens[-1]}.safetensors").read_bytes()
    assert tensors(resumed) == tensors(model)


def tensors(file: bytes) -> dict[str, bytes]:
    """The weights of a model file; what else is in it says how long it took."""
    from tlsearch.finetune import load_weights

    return {name: each.numpy().tobytes() for name, each in load_weights(file).items()}


def test_the_floor_is_fitted_to_both(world: World) -> None:
    plain = queued(world, origin=FIXED_FEATURES, seed=0)
    both = queued(world, origin=FIXED_FEATURES, seed=0, train_on="train+val")
    world.run()
    world.run()
    train, val = features_of_study(world.context, world.materials)
    assert plain.value == linear_probe(train, 10).accuracy(val)
    assert both.value == linear_probe(train.joined(val), 10).accuracy(val)
    assert plain.value != both.value
    assert right_from_text(plain.attrs[VAL_RIGHT], 20).mean() == plain.value
    assert VAL_RIGHT not in both.attrs


def test_the_classifier_starts_as_the_probe_on_both(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    labels = []
    opened = HeldTrial.opened

    def look(held: HeldTrial, trial: OpenTrial) -> HeldTrial:
        found = opened(held, trial)
        labels.append(found.fixed.head.label)
        return found

    monkeypatch.setattr(HeldTrial, "opened", look)
    params = replace(PLAIN, reinit_layers=0)
    trials = [queued(world, params=params), queued(world, params=params, train_on="train+val")]
    world.run()
    world.run()
    assert trials[0].curve != trials[1].curve
    assert labels[1] == f"{labels[0]} (train+val)"


@pytest.mark.parametrize(
    "attrs", [{"seed": -1}, {"seed": True}, {"seed": "1"}, {"seed": 2**31}, {"train_on": "test"}]
)
def test_what_cannot_be_trained_is_refused(attrs: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="its attribute"):
        Variation.from_attrs(attrs)


def test_variations_are_read_as_they_were_written() -> None:
    for variation in (AS_RECIPE, Variation(3), Variation(None, "train+val"), Variation(0)):
        assert Variation.from_attrs(variation.as_attrs()) == variation
    assert AS_RECIPE.as_attrs() == {}


@pytest.mark.parametrize("n", [1, 7, 8, 9, 1000])
def test_right_images_are_read_as_they_were_written(n: int) -> None:
    right = np.random.default_rng(n).random(n) < 0.7
    assert (right_from_text(right_as_text(right), n) == right).all()
    with pytest.raises(ValueError, match="are not of"):
        right_from_text(right_as_text(right), n + 8)
