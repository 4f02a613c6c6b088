"""What runs in bfloat16 on a GPU, run on a CPU: the forward passes alone, and nothing else."""

import importlib

import numpy as np
import pytest
import torch

from tests.parity.conftest import stand_in
from tests.parity.trainings import (
    CPU,
    KNOBS,
    PLAIN_NETWORK,
    RECIPE,
    STEPS,
    Run,
    assert_same_bits,
    interrupted,
)
from tlsearch.finetune.training import Training

AVERAGED = RECIPE.model_copy(update={"ema_epochs": 1.0, "clip_norm": 1.0})
FORWARD = ("training", "evaluate", "batch_norm")  # modules of tlsearch.finetune


@pytest.fixture
def in_bfloat16(monkeypatch):
    def mixed_precision(_device):
        return torch.autocast("cpu", torch.bfloat16)

    for name in FORWARD:
        module = importlib.import_module(f"tlsearch.finetune.{name}")
        monkeypatch.setattr(module, "mixed_precision", mixed_precision)


def test_only_the_forward_pass_is_in_bfloat16(shipped_images, in_bfloat16):
    training = Training.begin(stand_in(PLAIN_NETWORK), shipped_images, AVERAGED, KNOBS, CPU)
    seen = set()
    classifier = training.model.get_submodule("classifier")
    classifier.register_forward_hook(lambda _module, _inputs, output: seen.add(output.dtype))
    report = training.end_epoch(1, training.run_epoch(1))
    assert seen == {torch.bfloat16}
    kept = [*training.model.parameters(), *training.model.buffers()]
    kept += [state["momentum_buffer"] for state in training.optimizer.state.values()]
    assert training.average is not None
    kept += training.average.state.values()
    gradients = [p.grad for p in training.model.parameters() if p.grad is not None]
    assert {t.dtype for t in kept + gradients if t.is_floating_point()} == {torch.float32}
    assert len(gradients) > 10
    assert np.isfinite(report.train_loss)
    assert training.last is not None
    assert training.last.probabilities.dtype == torch.float32


def test_its_curve_is_that_of_fp32_but_for_rounding(shipped_images, request):
    plain = Run(shipped_images, PLAIN_NETWORK).figures
    request.getfixturevalue("in_bfloat16")
    mixed = Run(shipped_images, PLAIN_NETWORK).figures
    for (_, accuracy, loss), (_, other_accuracy, other_loss) in zip(plain, mixed, strict=True):
        assert other_loss == pytest.approx(loss, rel=0.02)
        assert abs(other_accuracy - accuracy) < 0.1
    assert plain != mixed


def test_it_resumes_to_the_last_bit(shipped_images, in_bfloat16):
    whole = Run(shipped_images, PLAIN_NETWORK)
    data = interrupted(shipped_images, PLAIN_NETWORK, STEPS + 2)
    resumed = Run(shipped_images, PLAIN_NETWORK, resume=data)
    assert resumed.figures == whole.figures
    assert_same_bits(resumed.weights, whole.weights)
