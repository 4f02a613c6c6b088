"""Dropout and stochastic depth: timm's own, where the spec says so and the network has them."""

from pathlib import Path

import pytest
import safetensors.torch
import timm
import torch
from timm.layers import DropPath
from torch import nn

from tests.parity.conftest import stand_in
from tlsearch.backbones import AS_TIMM_BUILDS_IT, Dropping, build, check_dropping
from tlsearch.errors import BackboneError, SpecError
from tlsearch.finetune import FineTuneData, initial_model
from tlsearch.finetune.training import Training
from tlsearch.records import Hyperparameters
from tlsearch.spec import RecipeSpec, parse_spec
from tlsearch.studies.create import check_study

BOTH = Dropping(dropout=0.3, drop_path=0.2)


def structure(model: nn.Module) -> list[tuple[str, str, object, object]]:
    rates = [getattr(model, "drop_rate", None)]
    named = [
        (name, type(m).__name__, getattr(m, "p", None), getattr(m, "drop_prob", None))
        for name, m in model.named_modules()
    ]
    return [("rates", "", rates[0], None), *named]


@pytest.mark.parametrize(
    "name", ["tf_efficientnet_lite0", "resnet18", "convnext_atto", "test_vit", "test_nfnet"]
)
def test_the_model_is_timms_with_the_same_initial_weights(name):
    backbone = stand_in(name, 160)
    check_dropping(name, 160, BOTH)
    model = initial_model(backbone, 7, 2, seed=5, dropping=BOTH)
    config = {"img_size": 160} if "vit" in name else {}
    theirs = timm.create_model(name, num_classes=7, drop_rate=0.3, drop_path_rate=0.2, **config)
    assert structure(model) == structure(theirs)
    assert any(isinstance(m, DropPath) and m.drop_prob for m in model.modules())
    plain = initial_model(backbone, 7, 2, seed=5)
    for (key, tensor), expected in zip(
        model.state_dict().items(), plain.state_dict().values(), strict=True
    ):
        assert torch.equal(tensor, expected), key


def test_what_is_dropped_is_dropped_in_training_alone():
    images = torch.randn(8, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    for dropping in (Dropping(dropout=0.5), Dropping(drop_path=0.5)):
        model = build("test_convnext", 5, seed=0, dropping=dropping)
        for parameter in model.parameters():
            parameter.data += 0.1  # its branches start near zero
        first, second = model(images), model(images)
        assert not torch.allclose(first, second)
        model.eval()
        assert torch.equal(model(images), model(images))


def test_a_key_that_is_not_given_leaves_timms_default():
    assert Dropping(RecipeSpec().dropout, RecipeSpec().drop_path) == AS_TIMM_BUILDS_IT
    assert build("ghostnet_050", 5, seed=0).drop_rate == 0.2
    assert build("ghostnet_050", 5, seed=0, dropping=Dropping(dropout=0.0)).drop_rate == 0.0


@pytest.mark.parametrize(
    ("name", "dropping", "sentence"),
    [
        ("inception_v4", Dropping(drop_path=0.1), r"recipe.drop_path = 0.1: inception_v4 has no"),
        ("ghostnet_050", Dropping(0.1, 0.0), r"recipe.drop_path = 0: ghostnet_050 has no stoch"),
    ],
)
def test_a_network_without_it_is_refused(name, dropping, sentence):
    with pytest.raises(BackboneError, match=sentence) as caught:
        check_dropping(name, 96, dropping)
    assert "\n" not in str(caught.value)
    check_dropping(name, 96, Dropping(dropout=0.1))


def test_a_network_that_overlooks_its_rate_is_refused():
    @timm.models.register_model
    def test_dropping_overlooked(**arguments):
        arguments.pop("drop_rate", None)
        return timm.create_model("test_efficientnet", **arguments)

    with pytest.raises(BackboneError, match=r"recipe.dropout = 0.4: test_dropping_overlooked has"):
        check_dropping("test_dropping_overlooked", 64, Dropping(dropout=0.4))
    check_dropping("test_dropping_overlooked", 64, Dropping(drop_path=0.4))


def test_check_says_so_before_any_training(tmp_path: Path):
    weights = tmp_path / "weights.safetensors"
    safetensors.torch.save_file(build("ghostnet_050", 3, seed=0).state_dict(), weights)
    spec = parse_spec(
        {
            "name": "a",
            "data": {"path": "builtin:fashion-mnist-30", "test_per_class": 1},
            "backbone": {"model": "ghostnet_050", "weights": str(weights)},
            "recipe": {"image_size": 64, "drop_path": 0.1},
        }
    )
    with pytest.raises(SpecError) as caught:
        check_study(spec)
    (problem,) = caught.value.problems
    assert problem.startswith("recipe.drop_path = 0.1: ghostnet_050 has no stochastic depth; leave")


def test_the_engine_trains_with_the_recipes_rates(shipped_images: FineTuneData):
    recipe = RecipeSpec(image_size=64, dropout=0.3, drop_path=0.2)
    knobs = Hyperparameters(1, 0.01, 1.0, 0, 0.0, 1e-4, 0)
    backbone = stand_in("test_convnext")
    training = Training.begin(backbone, shipped_images, recipe, knobs, torch.device("cpu"))
    expected = initial_model(backbone, 10, 1, recipe.seed, BOTH)
    assert structure(training.model) == structure(expected)
