"""No layer reinitialised: the classifier starts as the linear probe, batch norm stays."""

from dataclasses import replace

import pytest
import torch

from tests.parity.conftest import stand_in
from tests.parity.trainings import (
    KNOBS,
    PLAIN_NETWORK,
    RECIPE,
    Run,
    assert_same_training,
    interrupted,
)
from tlsearch.backbones import LinearHead, has_linear_head
from tlsearch.errors import CheckpointError
from tlsearch.finetune import initial_model
from tlsearch.finetune.batch_norm import batch_norms
from tlsearch.finetune.start import starting_model

FROM_PROBE = replace(KNOBS, reinit_layers=0, high_lr=0.01)
CLIPPED = RECIPE.model_copy(update={"clip_norm": 1.0})


@pytest.fixture(scope="module")
def head() -> LinearHead:
    generator = torch.Generator().manual_seed(5)
    width = stand_in(PLAIN_NETWORK).state["conv_head.weight"].shape[0]
    weight = 0.1 * torch.randn(10, width, generator=generator)
    return LinearHead(weight, torch.zeros(10), "some images")


def test_the_model_is_the_pretrained_network_with_the_head(head):
    backbone = stand_in(PLAIN_NETWORK)
    state = starting_model(backbone, 10, RECIPE, FROM_PROBE, head).state_dict()
    assert torch.equal(state["classifier.weight"], head.weight)
    assert torch.equal(state["classifier.bias"], head.bias)
    assert all(torch.equal(state[key], tensor) for key, tensor in backbone.state.items())


def test_without_a_head_there_is_no_start(shipped_images):
    with pytest.raises(ValueError, match="needs a head"):
        Run(shipped_images, PLAIN_NETWORK, knobs=FROM_PROBE)


@pytest.mark.parametrize("batch_norm", ["running", "recalibrated", "frozen"])
def test_batch_norm_keeps_the_pretrained_statistics(shipped_images, head, batch_norm):
    recipe = CLIPPED.model_copy(update={"batch_norm": batch_norm})
    run = Run(shipped_images, PLAIN_NETWORK, recipe, FROM_PROBE, head=head)
    backbone = stand_in(PLAIN_NETWORK)
    for name in batch_norms(initial_model(backbone, 10, 1, 0)):
        key = f"{name}.running_mean"
        assert torch.equal(run.weights[key], backbone.state[key]), name
    assert not torch.equal(run.weights["classifier.weight"], head.weight)
    assert run.result.curve[-1].train_loss < run.result.curve[0].train_loss


def test_a_head_is_not_used_where_the_classifier_is_random(shipped_images, head):
    plain = Run(shipped_images, PLAIN_NETWORK)
    assert_same_training(Run(shipped_images, PLAIN_NETWORK, head=head), plain)


@pytest.mark.parametrize("steps", [2, 4, 7])
def test_resumes_with_the_same_bits(shipped_images, head, steps):
    whole = Run(shipped_images, PLAIN_NETWORK, CLIPPED, FROM_PROBE, head=head)
    checkpoint = interrupted(
        shipped_images, PLAIN_NETWORK, steps, CLIPPED, knobs=FROM_PROBE, head=head
    )
    resumed = Run(shipped_images, PLAIN_NETWORK, CLIPPED, FROM_PROBE, head=head, resume=checkpoint)
    assert_same_training(resumed, whole)


def test_a_checkpoint_of_another_head_is_of_another_training(shipped_images, head):
    more = {"knobs": FROM_PROBE, "head": head}
    checkpoint = interrupted(shipped_images, PLAIN_NETWORK, 2, CLIPPED, **more)
    other = replace(head, label="other images")
    with pytest.raises(CheckpointError, match="of another training"):
        Run(shipped_images, PLAIN_NETWORK, CLIPPED, FROM_PROBE, head=other, resume=checkpoint)


@pytest.mark.parametrize(
    ("network", "expected"),
    [
        (PLAIN_NETWORK, True),
        ("test_vit", True),
        ("test_convnext", True),
        ("deit_tiny_distilled_patch16_224", False),  # two classifiers
    ],
)
def test_which_networks_take_a_head(network, expected):
    size = 224 if network.startswith("deit") else 160
    assert has_linear_head(stand_in(network, size)) is expected
