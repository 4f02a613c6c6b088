"""A network whose weights were resampled is, for all that follows, the pretrained one."""

from dataclasses import replace
from functools import cache

import pytest
import safetensors.torch
import timm
import torch

from tests.parity.trainings import CPU
from tlsearch.backbones import Backbone, build, has_linear_head, load_backbone
from tlsearch.data import load_catalog, load_for_recipe, load_training_data
from tlsearch.errors import CheckpointError
from tlsearch.finetune import FineTuneData, fine_tune, group_parameters, initial_model
from tlsearch.finetune.checkpoint import load_weights
from tlsearch.finetune.l2_sp import DecayTerms
from tlsearch.measures import features_of_splits, fisher_score
from tlsearch.records import Hyperparameters
from tlsearch.spec import DataSpec, RecipeSpec

NAME, NATIVE, SIZE = "test_vit", 160, 64
EVERYTHING_HELD = Hyperparameters(
    reinit_layers=1,
    high_lr=0.01,
    low_lr_ratio=0.3,
    low_layers=2,
    alpha=0.5,
    beta=0.003,
    l2sp_layers=99,
)
RECIPE = RecipeSpec(image_size=SIZE, epochs=2, batch_size=20, warmup_epochs=1, eval_crop=1.0)


@pytest.fixture(scope="module")
def weights(tmp_path_factory) -> str:
    with torch.random.fork_rng():
        torch.manual_seed(4)
        state = timm.create_model(NAME).state_dict()
    path = tmp_path_factory.mktemp("weights") / "native.safetensors"
    safetensors.torch.save_file(state, path)
    return str(path)


@pytest.fixture(scope="module")
def backbone(weights) -> Backbone:
    return load_backbone(NAME, weights, SIZE)


@cache
def images(size: int, eval_size: int = 0) -> FineTuneData:
    spec = DataSpec(path="builtin:fashion-mnist-30", train_per_class=4, val_per_class=2)
    recipe = RECIPE.model_copy(update={"image_size": size, "eval_size": eval_size})
    return FineTuneData.on_device(load_for_recipe(load_catalog(spec), recipe), CPU)


def test_l2_sp_pulls_to_the_resampled_embeddings(backbone, weights):
    """Where nothing has moved it pulls nowhere; where something has, to the pretrained values."""
    model = initial_model(backbone, 5, 1, seed=0)
    groups = group_parameters(model, backbone.layers, EVERYTHING_HELD)
    terms = DecayTerms(groups, EVERYTHING_HELD.alpha, EVERYTHING_HELD.beta)
    embedding = model.get_parameter("pos_embed")
    native = safetensors.torch.load_file(weights)["pos_embed"]
    assert embedding.shape != native.shape
    assert torch.equal(embedding, backbone.state["pos_embed"])
    embedding.grad = torch.zeros_like(embedding)
    terms.before_step()
    assert not embedding.grad.any()
    with torch.no_grad():
        embedding.add_(0.25)
    terms.before_step()
    away = embedding.detach() - backbone.state["pos_embed"]
    torch.testing.assert_close(embedding.grad, EVERYTHING_HELD.alpha * away)


@pytest.mark.parametrize("reinit_layers", [1, 3, 8])
def test_layers_that_depend_on_the_size_are_kept_or_fresh(backbone, reinit_layers):
    model = initial_model(backbone, 5, reinit_layers, seed=3)
    fresh = build(NAME, 5, seed=3, image_size=SIZE).state_dict()
    first_fresh = len(backbone.layers.layers) - reinit_layers
    for key, tensor in model.state_dict().items():
        kept = backbone.layers.index_of[key] < first_fresh
        assert torch.equal(tensor, backbone.state[key] if kept else fresh[key]), key


def test_resumes_with_the_same_bits_and_at_its_own_size_alone(backbone, weights):
    kept: list[bytes] = []
    whole = fine_tune(
        backbone, images(SIZE), RECIPE, EVERYTHING_HELD, CPU, on_checkpoint=kept.append
    )
    resumed = fine_tune(backbone, images(SIZE), RECIPE, EVERYTHING_HELD, CPU, resume=kept[0])
    assert resumed.val_predictions == whole.val_predictions
    assert [e.train_loss for e in resumed.curve] == [e.train_loss for e in whole.curve]
    at_96 = RECIPE.model_copy(update={"image_size": 96})
    other = load_backbone(NAME, weights, 96)
    with pytest.raises(CheckpointError, match="of another training"):
        fine_tune(other, images(96), at_96, EVERYTHING_HELD, CPU, resume=kept[0])


def test_evaluation_at_another_size_resamples_the_trained_embeddings(backbone):
    """Against a model that is built for that size, with embeddings resampled by timm."""
    recipe = RECIPE.model_copy(update={"eval_size": 96})
    data = images(SIZE, eval_size=96)
    kept: list[bytes] = []
    knobs = replace(EVERYTHING_HELD, alpha=0.0)
    result = fine_tune(backbone, data, recipe, knobs, CPU, on_checkpoint=kept.append)
    trained = load_weights(kept[-1])
    model = build(NAME, 10, seed=0, image_size=SIZE).eval()
    model.load_state_dict(trained)
    model.set_input_size(img_size=(96, 96))  # type: ignore[operator]
    pixels = torch.cat([torch.tensor(canvas) for canvas in data.val.pixels]) / 255
    pixels = pixels.permute(0, 3, 1, 2)
    assert pixels.shape[-1] == 96
    mean, std = (
        torch.tensor(each).reshape(3, 1, 1)
        for each in (backbone.statistics.mean, backbone.statistics.std)
    )
    with torch.inference_mode():
        found = model((pixels - mean) / std).argmax(dim=1)
    assert tuple(found.tolist()) == result.val_predictions


def test_features_and_their_score(backbone):
    spec = DataSpec(path="builtin:fashion-mnist-30", train_per_class=4, val_per_class=2)
    catalog = load_catalog(spec)
    train, _ = features_of_splits(
        backbone,
        lambda: load_training_data(catalog, SIZE, 1.0),
        "images of test_other_sizes",
        RECIPE,
        CPU,
        "the images",
    )
    assert train.values.shape == (40, 64)
    assert fisher_score(train).score > 0


@pytest.mark.parametrize("name", ["levit_128s", "efficientvit_m0", "repvit_m1"])
def test_a_norm_in_the_head_takes_no_probe(name, tmp_path):
    """The classifier gets normalised features there, so a probe on the pooled ones does not fit."""
    with torch.random.fork_rng():
        torch.manual_seed(1)
        state = timm.create_model(name).state_dict()
    safetensors.torch.save_file(state, tmp_path / "w.safetensors")
    assert not has_linear_head(load_backbone(name, str(tmp_path / "w.safetensors"), 96))
