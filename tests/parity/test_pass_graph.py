"""The passes of a step as a CUDA graph do what they do kernel by kernel."""

import gc
import logging
import re
from itertools import islice

import pytest
import timm
import torch
from timm.models import register_model
from torch import nn

from tests.parity.conftest import stand_in
from tests.parity.test_checkpoint import DROPPING
from tests.parity.trainings import ALL_STEPS, KNOBS, PLAIN_NETWORK, RECIPE, STEPS
from tlsearch.finetune import fine_tune, pass_graph
from tlsearch.finetune.guards import reproducible
from tlsearch.finetune.training import Training

pytestmark = [pytest.mark.gpu, pytest.mark.xdist_group("pass graph")]
GPU = torch.device("cuda", 0)
MIXED = RECIPE.model_copy(update={"mixup": 0.4, "ema_epochs": 1.0, "clip_norm": 1.0})
ADAMW = RECIPE.model_copy(update={"optimizer": "adamw", "momentum": None})
FROZEN = RECIPE.model_copy(update={"batch_norm": "frozen", "loss": "focal"})


class Waiting(nn.Module):
    """Waits for a value on the GPU, or for all of it, which no graph can."""

    def __init__(self, what):
        super().__init__()
        self.what = what

    def forward(self, values):
        if self.what == "value":
            return values * (1.0 if values.sum().item() > 0 else 0.5)
        torch.cuda.synchronize()
        return values


def waiting(what, arguments):
    model = timm.create_model("test_convnext", **{"drop_rate": 0.3, **arguments})
    model.norm_pre = Waiting(what)
    return model


@register_model
def test_waits_for_value(**arguments):
    return waiting("value", arguments)


@register_model
def test_waits_for_all(**arguments):
    return waiting("all", arguments)


test_waits_for_value.__test__ = test_waits_for_all.__test__ = False


@pytest.fixture(autouse=True)
def same_kernels(monkeypatch):
    monkeypatch.setattr(torch.backends.cudnn, "deterministic", True)


def begun(images_on_gpu, network=PLAIN_NETWORK, recipe=RECIPE, *, graph=True):
    training = Training.begin(stand_in(network), images_on_gpu, recipe, KNOBS, GPU)
    if not graph:
        training.graph = None
    training.set_training_mode()
    return training


def trained(training, steps):
    """Train up to a step; return the losses of what was trained here."""
    losses = []
    while training.step < steps:
        epoch, done = divmod(training.step, STEPS)
        batch = next(islice(training.batches(epoch + 1), done, None))
        losses.append(training.run_step(*batch, 1.0))
    return torch.stack(losses).cpu()


def weights_of(training):
    return {name: tensor.cpu() for name, tensor in training.model.state_dict().items()}


@pytest.mark.parametrize("recipe", [RECIPE, MIXED, ADAMW, FROZEN])
def test_it_trains_as_kernel_by_kernel(images_on_gpu, recipe):
    losses, weights = [], []
    for graph in (True, False):
        with reproducible(0, GPU):
            training = begun(images_on_gpu, recipe=recipe, graph=graph)
            losses.append(trained(training, ALL_STEPS))
        weights.append(weights_of(training))
        assert (training.graph is not None and training.graph.recorded) == graph
    torch.testing.assert_close(*losses, rtol=1e-3, atol=1e-3)
    for name, tensor in weights[0].items():
        torch.testing.assert_close(tensor, weights[1][name], rtol=1e-2, atol=1e-3, msg=name)


def test_dropout_differs_from_step_to_step_and_repeats_itself(images_on_gpu):
    def losses():
        with reproducible(0, GPU):
            training = begun(images_on_gpu, DROPPING)
            batch = next(training.batches(1))
            return torch.stack([training.run_step(*batch, 0.0) for _ in range(8)]).cpu()

    found = losses()
    assert len(set(found[pass_graph.WARM_UP :].tolist())) == 8 - pass_graph.WARM_UP
    torch.testing.assert_close(losses(), found, rtol=1e-4, atol=1e-4)


def test_it_resumes_with_the_same_dropout(images_on_gpu):
    with reproducible(0, GPU):
        whole = trained(begun(images_on_gpu, DROPPING), ALL_STEPS)
    with reproducible(0, GPU):
        first = begun(images_on_gpu, DROPPING)
        before = trained(first, 7)
        data = first.checkpoint()
    with reproducible(1, GPU):
        second = begun(images_on_gpu, DROPPING)
        second.restore(data)
        after = trained(second, ALL_STEPS)
    torch.testing.assert_close(torch.cat([before, after]), whole, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize(
    ("network", "why"),
    [
        ("test_waits_for_value", "waits for a value on the GPU at .*test_pass_graph.py:"),
        ("test_waits_for_all", "captur"),
    ],
)
def test_what_cannot_be_recorded_runs_kernel_by_kernel(images_on_gpu, caplog, network, why):
    """torch notices the first before it is recorded, and the second not."""
    losses = []
    for _ in range(2):
        with caplog.at_level(logging.WARNING), reproducible(0, GPU):
            training = begun(images_on_gpu, network)
            losses.append(trained(training, ALL_STEPS))
        assert training.graph is not None
        assert not training.graph.recorded
    (said,) = [text for text in caplog.messages if "cannot be a CUDA graph" in text]
    assert re.search(why, said)
    with reproducible(0, GPU):
        again = trained(begun(images_on_gpu, network, graph=False), ALL_STEPS)
    for found in losses:
        torch.testing.assert_close(found, again, rtol=1e-3, atol=1e-3)
    torch.cuda.empty_cache()
    with reproducible(0, GPU):
        other = begun(images_on_gpu, DROPPING)
        trained(other, 6)
    assert other.graph is not None
    assert other.graph.recorded, "one network that fails spoils no other"


def test_a_whole_training_learns_the_same(images_on_gpu, lite0, monkeypatch):
    recipe = RECIPE.model_copy(update={"image_size": 64, "epochs": 6, "batch_size": 32})
    with_graph = fine_tune(lite0, images_on_gpu, recipe, KNOBS, GPU)
    monkeypatch.setenv(pass_graph.VARIABLE, "0")
    without = fine_tune(lite0, images_on_gpu, recipe, KNOBS, GPU)
    assert with_graph.curve[0].train_loss == pytest.approx(without.curve[0].train_loss, rel=0.02)
    assert abs(with_graph.curve[-1].val_accuracy - without.curve[-1].val_accuracy) < 0.06


def test_its_memory_comes_back(images_on_gpu):
    def reserved():
        gc.collect()
        torch.cuda.empty_cache()
        return torch.cuda.memory_reserved(GPU)

    for _ in range(3):
        trained(begun(images_on_gpu), 6)
        before = reserved()
    for _ in range(5):
        trained(begun(images_on_gpu), 6)
    assert reserved() <= before
