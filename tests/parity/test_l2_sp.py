"""L2-SP and L2 gradient terms against autograd of the written-out penalty."""

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tests.parity.conftest import stand_in
from tlsearch.finetune import group_parameters, initial_model
from tlsearch.finetune.l2_sp import DecayTerms
from tlsearch.records import Hyperparameters

MIXED = Hyperparameters(
    reinit_layers=2,
    high_lr=0.01,
    low_lr_ratio=0.5,
    low_layers=3,
    alpha=0.07,
    beta=0.003,
    l2sp_layers=4,
)


def is_norm(model: nn.Module, name: str) -> bool:
    owner = model.get_submodule(name.rpartition(".")[0]) if "." in name else model
    return isinstance(owner, nn.BatchNorm2d | nn.LayerNorm | nn.GroupNorm)


def penalty(model, layers, start, hyperparameters, decay_norm=False):
    """The penalty as the papers write it: a sum over parameters, layer by layer."""
    kept = len(layers.layers) - hyperparameters.reinit_layers
    total = torch.zeros((), dtype=torch.float64)
    for name, parameter in model.named_parameters():
        if is_norm(model, name) and not decay_norm:
            continue
        layer = layers.index_of[name]
        if layer < hyperparameters.l2sp_layers and layer < kept:
            away = parameter.double() - start[name].double()
            total = total + hyperparameters.alpha / 2 * (away**2).sum()
        else:
            total = total + hyperparameters.beta / 2 * (parameter.double() ** 2).sum()
    return total


def gradient_of(parameter: nn.Parameter) -> Tensor:
    assert parameter.grad is not None
    return parameter.grad


@pytest.mark.parametrize("decay_norm", [False, True])
@pytest.mark.parametrize("name", ["test_efficientnet", "resnet18", "test_vit"])
@pytest.mark.parametrize(("reinit_layers", "l2sp_layers"), [(2, 4), (1, 99), (3, 0), (4, 99)])
def test_terms_equal_autograd_of_the_penalty(name, decay_norm, reinit_layers, l2sp_layers):
    backbone = stand_in(name, 160 if name == "test_vit" else 64)
    hyperparameters = replace(MIXED, reinit_layers=reinit_layers, l2sp_layers=l2sp_layers)
    model = initial_model(backbone, 5, reinit_layers, seed=0)
    start = {n: p.detach().clone() for n, p in model.named_parameters()}
    groups = group_parameters(model, backbone.layers, hyperparameters, decay_norm)
    terms = DecayTerms(groups, hyperparameters.alpha, hyperparameters.beta)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)
    images, labels = torch.randn(4, 3, backbone.image_size, backbone.image_size), torch.arange(4)

    model.eval()
    F.cross_entropy(model(images), labels).backward()
    terms.before_step()
    ours = {n: gradient_of(p).clone() for n, p in model.named_parameters()}
    model.zero_grad()
    loss = F.cross_entropy(model(images), labels)
    (loss + penalty(model, backbone.layers, start, hyperparameters, decay_norm)).backward()
    for n, parameter in model.named_parameters():
        torch.testing.assert_close(ours[n], parameter.grad, atol=1e-6, rtol=1e-6, msg=n)


@pytest.mark.parametrize("reinit_layers", [1, 2, 5])
def test_a_reinitialised_layer_never_carries_l2_sp(reinit_layers):
    backbone = stand_in("resnet18")
    hyperparameters = replace(MIXED, reinit_layers=reinit_layers, l2sp_layers=9)
    model = initial_model(backbone, 5, reinit_layers, seed=0)
    first_fresh = len(backbone.layers.layers) - reinit_layers
    carried = [
        backbone.layers.index_of[name]
        for group in group_parameters(model, backbone.layers, hyperparameters)
        if group.decay == "l2_sp"
        for name in group.names
    ]
    assert carried
    assert max(carried) == first_fresh - 1


def test_norm_parameters_do_not_decay_by_default():
    backbone = stand_in("convnext_atto")
    model = initial_model(backbone, 5, 1, seed=0)
    groups = group_parameters(model, backbone.layers, MIXED)
    spared = {n for g in groups if g.decay == "none" for n in g.names}
    assert spared == {n for n, _ in model.named_parameters() if is_norm(model, n)}
    assert spared


def test_parameters_without_gradient_are_left_alone():
    backbone = stand_in("resnet18")
    model = initial_model(backbone, 5, 1, seed=0)
    frozen = model.get_parameter("layer1.0.conv1.weight")
    groups = group_parameters(model, backbone.layers, replace(MIXED, l2sp_layers=9))
    terms = DecayTerms(groups, 0.1, 0.1)
    model(torch.randn(2, 3, 64, 64)).sum().backward()
    frozen.grad = None
    terms.before_step()
    assert frozen.grad is None
