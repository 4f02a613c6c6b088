"""Kept tensors are the pretrained ones bit for bit, all others those of a fresh model."""

import pytest
import torch
from torch import nn

from tests.parity.conftest import stand_in
from tlsearch.backbones import build
from tlsearch.finetune import initial_model

MODELS = ["test_efficientnet", "resnet18", "mobilenetv3_small_050", "convnext_atto", "inception_v4"]


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("reinit_layers", [1, 2, 3])
def test_kept_and_fresh_tensors(name, reinit_layers):
    backbone = stand_in(name, 96)
    model = initial_model(backbone, 7, reinit_layers, seed=5)
    fresh = build(name, 7, seed=5, image_size=96).state_dict()
    first_fresh = len(backbone.layers.layers) - reinit_layers
    n_kept = n_fresh = 0
    for key, tensor in model.state_dict().items():
        if backbone.layers.index_of[key] < first_fresh:
            assert torch.equal(tensor, backbone.state[key]), key
            n_kept += 1
        else:
            assert torch.equal(tensor, fresh[key]), key
            n_fresh += 1
    assert n_kept > 0
    assert n_fresh >= 2 * reinit_layers - 1


def test_batch_norm_statistics_travel_with_their_layer(lite0):
    model = initial_model(lite0, 10, 2, seed=0)
    kept = model.get_buffer("blocks.5.3.bn1.running_mean")
    assert torch.equal(kept, lite0.state["blocks.5.3.bn1.running_mean"])
    assert not torch.equal(kept, torch.zeros_like(kept))
    fresh = model.get_buffer("bn2.running_mean")
    assert torch.equal(fresh, torch.zeros_like(fresh))


def test_training_does_not_change_the_pretrained_tensors(lite0):
    before = lite0.fingerprint()
    model = initial_model(lite0, 10, 1, seed=0)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
    assert lite0.fingerprint() == before


def test_the_head_starts_as_a_fresh_linear_layer():
    """EfficientNet's own initialisation is ten times as wide."""
    head = build("tf_efficientnet_lite0", 10, seed=0).get_submodule("classifier")
    assert isinstance(head, nn.Linear)
    bound = 1 / head.in_features**0.5
    assert head.weight.abs().max() <= bound
    assert head.weight.std().item() == pytest.approx(bound / 3**0.5, rel=0.05)
    torch.manual_seed(3)
    reference = nn.Linear(1280, 10)
    assert head.weight.std().item() == pytest.approx(reference.weight.std().item(), rel=0.05)


def test_seed_decides_and_is_all_that_decides():
    state = torch.get_rng_state()
    first, second = build("resnet18", 4, seed=1), build("resnet18", 4, seed=1)
    other = build("resnet18", 4, seed=2)
    assert torch.equal(torch.get_rng_state(), state)
    weights = [model.get_parameter("conv1.weight") for model in (first, second, other)]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


@pytest.mark.parametrize("reinit_layers", [0, 99])
def test_refuses_more_layers_than_there_are(lite0, reinit_layers):
    with pytest.raises(ValueError, match="must lie in"):
        initial_model(lite0, 10, reinit_layers, seed=0)
