"""Every parameter is in exactly one group, whatever the architecture and the hyperparameters."""

import functools

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tlsearch.backbones import build, layers_of
from tlsearch.finetune import group_parameters
from tlsearch.records import Hyperparameters

NAMED = [
    "inception_v4",
    "tf_efficientnet_lite0",
    "resnet50",
    "convnext_tiny",
    "vit_small_patch16_224",
    "mobilenetv3_large_100",
]


@functools.cache
def built(name):
    model = build(name, n_classes=7, seed=0)
    return model, layers_of(model, name)


@st.composite
def hyperparameters(draw, n_body):
    return Hyperparameters(
        reinit_layers=draw(st.integers(1, n_body + 1)),
        high_lr=draw(st.floats(1e-5, 1)),
        low_lr_ratio=draw(st.floats(1e-3, 1)),
        low_layers=draw(st.integers(0, n_body)),
        alpha=draw(st.floats(0, 1)),
        beta=draw(st.floats(0, 1)),
        l2sp_layers=draw(st.integers(0, n_body)),
    )


@pytest.mark.parametrize("name", NAMED)
@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_each_parameter_in_exactly_one_group(name, data):
    model, layers = built(name)
    drawn = data.draw(hyperparameters(layers.n_body))
    groups = group_parameters(model, layers, drawn, decay_norm=data.draw(st.booleans()))
    names = [n for group in groups for n in group.names]
    assert sorted(names) == sorted(n for n, _ in model.named_parameters())
    assert [id(p) for g in groups for p in g.parameters] == [
        id(model.get_parameter(n)) for n in names
    ]
    kept = layers.n_body + 1 - drawn.reinit_layers
    for group in groups:
        for n in group.names:
            low = layers.index_of[n] < min(drawn.low_layers, kept)
            assert (group.rate == "low") == low
    canonical = group_parameters(model, layers, drawn.canonical(layers.n_body), True)
    l2_sp = {n for g in canonical if g.decay == "l2_sp" for n in g.names}
    assert l2_sp == {
        n
        for g in group_parameters(model, layers, drawn, True)
        if g.decay == "l2_sp"
        for n in g.names
    }
