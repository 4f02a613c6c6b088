"""The moving average of the weights: against its formula, in validation, and what is kept."""

import math

import pytest
import torch
from torch import nn

from tests.parity.conftest import stand_in
from tests.parity.trainings import (
    ALL_STEPS,
    CPU,
    KNOBS,
    PLAIN_NETWORK,
    RECIPE,
    STEPS,
    Run,
    assert_resumes_from_epoch,
    assert_resumes_from_step,
    assert_same_bits,
)
from tlsearch.errors import CheckpointError
from tlsearch.finetune import initial_model
from tlsearch.finetune.batch_norm import batch_norms
from tlsearch.finetune.checkpoint import load_weights
from tlsearch.finetune.ema import WeightAverage
from tlsearch.finetune.evaluate import evaluate
from tlsearch.finetune.training import Training

EMA = RECIPE.model_copy(update={"ema_epochs": 0.5, "batch_norm": "running"})
RECALIBRATED = EMA.model_copy(update={"batch_norm": "recalibrated"})


def test_it_is_the_weighted_mean_of_the_steps():
    """Step by step against the sums of the docstring, in float64."""
    model = nn.Linear(3, 2).double()
    average = WeightAverage(model, steps=2.5)
    decay = math.exp(-1 / 2.5)
    seen: list[torch.Tensor] = []
    generator = torch.Generator().manual_seed(0)
    for step in range(1, 30):
        with torch.no_grad():
            drawn = torch.randn(2, 3, dtype=torch.float64, generator=generator)
            model.weight.copy_(drawn)
        seen.append(drawn)
        average.update(step)
        shares = [decay ** (step - i) for i in range(1, step + 1)]
        expected = sum(s * w for s, w in zip(shares, seen, strict=True)) / sum(shares)
        torch.testing.assert_close(average.state["weight"], expected, atol=1e-13, rtol=1e-12)
        if step == 1:
            assert torch.equal(average.state["weight"], drawn)
    assert torch.equal(average.state["bias"], model.bias)
    average.write()
    assert torch.equal(model.weight, average.state["weight"])


def test_whole_numbers_are_not_averaged():
    average = WeightAverage(nn.BatchNorm1d(3), steps=2)
    assert set(average.state) == {"weight", "bias", "running_mean", "running_var"}


@pytest.fixture(scope="module")
def whole(shipped_images) -> Run:
    return Run(shipped_images, PLAIN_NETWORK, RECALIBRATED)


class TestTraining:
    @pytest.mark.parametrize("steps", [1, STEPS, STEPS + 2, ALL_STEPS])
    def test_resumes_from_any_step(self, shipped_images, whole, steps):
        assert_resumes_from_step(shipped_images, whole, steps, RECALIBRATED)

    @pytest.mark.parametrize("epoch", [1, 2])
    def test_resumes_from_any_epoch(self, shipped_images, whole, epoch):
        assert_resumes_from_epoch(shipped_images, whole, epoch, RECALIBRATED)

    def test_the_training_is_that_without_it(self, shipped_images, whole):
        """Same losses, and the same bits before the last epoch's end."""
        without = Run(shipped_images, PLAIN_NETWORK)
        losses = [[e.train_loss for e in run.result.curve] for run in (whole, without)]
        assert losses[0] == losses[1]
        for epoch in (0, 1):
            ours, theirs = (load_weights(run.checkpoints[epoch]) for run in (whole, without))
            assert_same_bits(ours, theirs)
        weights = whole.weights
        assert not any(
            torch.equal(weights[name], tensor)
            for name, tensor in without.weights.items()
            if tensor.is_floating_point()
        )

    def test_the_kept_model_is_the_average_and_gives_the_reported_accuracy(self, shipped_images):
        """With running statistics, which are averaged too, against an average made beside it."""
        backbone = stand_in(PLAIN_NETWORK)
        training = Training.begin(backbone, shipped_images, RECIPE, KNOBS, CPU)
        average = WeightAverage(training.model, 0.5 * STEPS)
        training.set_training_mode()
        for epoch in (1, 2, 3):
            for batch in training.batches(epoch):
                training.run_step(*batch, training._rate_factor())
                average.update(training.step)
        run = Run(shipped_images, PLAIN_NETWORK, EMA)
        kept = run.weights
        assert_same_bits({name: kept[name] for name in average.state}, dict(average.state))
        model = initial_model(backbone, 10, KNOBS.reinit_layers, 0)
        model.load_state_dict(kept)
        found = evaluate(model, shipped_images.val, EMA, backbone.statistics)
        assert found.accuracy == run.result.val_accuracy
        assert found.predictions == run.result.val_predictions

    def test_statistics_are_recalibrated_for_the_average(self, shipped_images, whole):
        run = Run(shipped_images, PLAIN_NETWORK, EMA)
        statistics = {"running_mean", "running_var"}
        model = initial_model(stand_in(PLAIN_NETWORK), 10, KNOBS.reinit_layers, 0)
        names = {f"{name}.{kind}" for name in batch_norms(model) for kind in statistics}
        for name, tensor in run.weights.items():
            assert torch.equal(whole.weights[name], tensor) is (name not in names), name

    def test_a_checkpoint_without_the_average_is_refused(self, shipped_images):
        """One of another recipe, relabelled: its tensors alone do not do."""
        training = Training.begin(stand_in(PLAIN_NETWORK), shipped_images, EMA, KNOBS, CPU)
        without = Training.begin(stand_in(PLAIN_NETWORK), shipped_images, RECIPE, KNOBS, CPU)
        without.identity = training.identity
        with pytest.raises(CheckpointError, match=r"average\.\S+ is missing"):
            training.restore(without.checkpoint())
