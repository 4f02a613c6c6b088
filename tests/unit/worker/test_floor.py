"""The trial of fixed features: a real classifier on a real network, recorded in memory."""

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch

from tests.parity.conftest import stand_in
from tests.unit.worker.conftest import PLAIN, World
from tests.unit.worker.memory import MemoryTrial
from tlsearch.backbones import build
from tlsearch.data import features_folder, load_catalog, load_for_recipe
from tlsearch.finetune import FineTuneData, load_weights
from tlsearch.finetune.evaluate import evaluate
from tlsearch.measures import linear_probe
from tlsearch.records import FIXED_FEATURES
from tlsearch.records.right import MEAN_RIGHT, right_from_text
from tlsearch.worker import floor as floor_module
from tlsearch.worker.beside_floor import BESIDE
from tlsearch.worker.floor import FixedFeatures, features_of_study
from tlsearch.worker.materials import TrainingMaterials


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert str(features_folder()).startswith(str(tmp_path))


def queued(world: World) -> MemoryTrial:
    trial = world.server.queue(PLAIN)
    trial.attrs["origin"] = FIXED_FEATURES
    return trial


def after_features(world: World, monkeypatch, act: Callable[[], None]) -> None:
    """Do something once the features are there, before the classifier is fitted."""

    def acting(*args):
        act()
        return linear_probe(*args)

    monkeypatch.setattr(floor_module, "kept_linear_probe", acting)


def test_the_model_has_the_reported_accuracy(world: World):
    trial = queued(world)
    record = world.run()
    assert record is not None
    assert (trial.state, trial.has_model, trial.curve) == ("complete", True, {})
    assert world.file_names() >= {f"{trial.tokens[0]}.safetensors"}
    data, backbone = world.materials.data, world.materials.backbone
    model = build(backbone.name, data.n_classes, seed=9, image_size=backbone.image_size)
    model.load_state_dict(
        load_weights((world.files / f"{trial.tokens[0]}.safetensors").read_bytes())
    )
    model = model.to(memory_format=torch.channels_last)
    found = evaluate(model, data.val, world.context.study.spec.recipe, backbone.statistics)
    assert found.accuracy == trial.value
    assert 0.1 < found.accuracy < 1
    for key, tensor in backbone.state.items():
        if not key.startswith("classifier"):
            assert torch.equal(model.state_dict()[key], tensor), key


@pytest.mark.parametrize("world", [{"recipe": {"eval_size": 48}}], indirect=True)
def test_it_sees_images_at_the_size_of_validation(world: World):
    """What its classifier says of the features is what the model says of the images."""
    recipe = world.context.study.spec.recipe
    data = load_for_recipe(load_catalog(world.materials.data_spec), recipe)
    images = FineTuneData.on_device(data, torch.device("cpu"))
    world.materials = replace(world.materials, data=images)
    trial = queued(world)
    world.run()
    train, val = features_of_study(world.context, world.materials)
    assert trial.value == (
        (linear_probe(train, 10).logits(val.values).argmax(axis=1) == val.labels).mean()
    )
    assert set(images.val.sizes.flatten().tolist()) == {48}


def test_the_sampler_is_not_told(world: World):
    queued(world)
    world.run()
    assert world.trials.told == []


@pytest.mark.parametrize("world", [{"checkpoints": {"keep_best": 1}}], indirect=True)
def test_its_model_takes_no_place_among_the_best(world: World):
    floor, trial = queued(world), world.server.queue(PLAIN)
    world.run()
    floor.value = 1.0
    world.run()
    assert (floor.has_model, trial.has_model) == (True, True)


@pytest.mark.parametrize("world", [{"checkpoints": {"keep_best": 0}}], indirect=True)
def test_its_model_is_kept_where_no_other_is(world: World):
    floor = queued(world)
    world.run()
    assert floor.has_model


def test_a_signal_puts_it_back_into_the_queue(world: World, monkeypatch):
    after_features(world, monkeypatch, world.signals.requested.set)
    trial = queued(world)
    with pytest.raises(SystemExit):
        world.run()
    assert (trial.state, trial.value) == ("waiting", None)
    assert world.file_names() == set()
    world.signals.requested = type(world.signals.requested)()
    after_features(world, monkeypatch, lambda: None)
    world.run()
    assert trial.state == "complete"


def test_another_workers_trial_is_left_alone(world: World, monkeypatch):
    trial = queued(world)
    after_features(world, monkeypatch, lambda: world.server.take_over(trial))
    assert world.run() is None
    assert (trial.state, trial.value) == ("running", None)


def test_the_file_of_a_killed_attempt_is_removed(world: World):
    trial = queued(world)
    trial.tokens.append("00000000-0000-0000-0000-000000000001")
    world.context.artifacts.save(f"{trial.tokens[0]}.safetensors", b"half")
    world.run()
    assert f"{trial.tokens[0]}.safetensors" not in world.file_names()
    assert f"{trial.tokens[1]}.safetensors" in world.file_names()


def test_it_is_nobodys_original(world: World):
    """A trial with its parameters trains."""
    queued(world)
    trial = world.server.queue(PLAIN)
    world.run()
    world.run()
    assert trial.curve


def test_changed_images_fail_it_in_one_sentence(world: World, monkeypatch):
    spec = world.materials.data_spec.model_copy(update={"split_seed": 5})
    materials = TrainingMaterials(spec, world.materials.data, world.materials.backbone)
    world.materials = materials
    trial = queued(world)
    world.run()
    assert trial.state == "fail"
    assert trial.reason == (
        "images",
        "data.path builtin:fashion-mnist-30: the images changed meanwhile",
    )


def test_a_network_with_two_classifiers_fails_it_in_one_sentence(world: World):
    distilled = stand_in("deit_tiny_distilled_patch16_224", 32)
    materials = world.materials
    world.materials = TrainingMaterials(materials.data_spec, materials.data, distilled)
    floor = queued(world)
    world.run()
    assert (floor.state, floor.has_model) == ("fail", False)
    assert floor.reason is not None
    kind, sentence = floor.reason
    assert kind == "no_features"
    assert "its classifier (head, head_dist) is not one linear layer" in sentence
    assert world.file_names() == set()


class TestBesideTheFloor:
    @pytest.fixture
    def with_floor(self, world: World) -> World:
        world.context = replace(world.context, study=replace(world.context.study, has_floor=True))
        return world

    def test_a_trial_is_compared_image_by_image(self, with_floor: World):
        """With the outputs of both model files."""
        floor, trial = queued(with_floor), with_floor.server.queue(PLAIN)
        with_floor.run()
        with_floor.run()
        one, other = (self.probabilities(with_floor, each) for each in (floor, trial))
        labels = with_floor.materials.data.val.labels
        right = [p.argmax(dim=1) == labels for p in (one, other)]
        pooled = (one.log() + other.log()).argmax(dim=1)
        mean = (pooled == labels).double().mean().item()
        assert trial.attrs["mean_with_fixed_features"] == mean
        assert trial.attrs["right_alone"] == int((right[1] & ~right[0]).sum())
        assert trial.attrs["fixed_features_right_alone"] == int((right[0] & ~right[1]).sum())
        assert trial.attrs["right_alone"] + trial.attrs["fixed_features_right_alone"] > 0

    @staticmethod
    def probabilities(world: World, trial: MemoryTrial) -> torch.Tensor:
        data, backbone = world.materials.data, world.materials.backbone
        model = build(backbone.name, data.n_classes, seed=9, image_size=backbone.image_size)
        file = (world.files / f"{trial.tokens[0]}.safetensors").read_bytes()
        model.load_state_dict(load_weights(file))
        model = model.to(memory_format=torch.channels_last)
        recipe = world.context.study.spec.recipe
        return evaluate(model, data.val, recipe, backbone.statistics).probabilities

    def test_a_duplicate_takes_it_over(self, with_floor: World):
        first, second = (with_floor.server.queue(PLAIN) for _ in range(2))
        with_floor.run()
        with_floor.run()
        assert second.attrs["duplicate_of"] == 0
        for key in BESIDE:
            assert second.attrs[key] == first.attrs[key]

    def test_without_features_the_trial_counts_all_the_same(self, with_floor: World, monkeypatch):
        def broken(*_, **__):
            raise RuntimeError("no memory for features")

        monkeypatch.setattr(floor_module, "features_of_splits", broken)
        trial = with_floor.server.queue(PLAIN)
        with_floor.run()
        assert (trial.state, trial.has_model) == ("complete", True)
        assert not set(BESIDE) & set(trial.attrs)
        said = [line for line in with_floor.told.lines if "not compared" in line]
        assert said == [
            "this trial is not compared with fixed features: RuntimeError: no memory for features"
        ]

    def test_a_study_without_a_floor_takes_no_features(self, world: World, monkeypatch):
        monkeypatch.setattr(floor_module, "features_of_splits", None)
        trial = world.server.queue(PLAIN)
        world.run()
        assert not set(BESIDE) & set(trial.attrs)
        assert not any("not compared" in line for line in world.told.lines)

    def test_finalists_are_compared_where_no_measure_kept_features(self, world: World):
        """The search has measures off, so no floor."""
        queue_finalist(world)
        world.run()
        (trial,) = world.server.trials.values()
        assert set(trial.attrs) >= {*BESIDE, MEAN_RIGHT}
        right = right_from_text(trial.attrs[MEAN_RIGHT], 20)
        assert right.mean() == trial.attrs["mean_with_fixed_features"]

    def test_nor_are_finalists_whose_network_takes_no_linear_classifier(self, world: World):
        queue_finalist(world)
        assert FixedFeatures(world.context, world.materials).compared_with
        distilled = stand_in("deit_tiny_distilled_patch16_224", 32)
        materials = replace(world.materials, backbone=distilled)
        assert not FixedFeatures(world.context, materials).compared_with


def queue_finalist(world: World) -> None:
    study = replace(world.context.study, name="memory/finalists")
    world.context = replace(world.context, study=study)
    world.server.queue(PLAIN).attrs["seed"] = 1
