"""The engine against torch's own optimiser, against itself, and on real images."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from tests.parity.conftest import stand_in
from tlsearch.data import train_batches
from tlsearch.errors import TrialFailure
from tlsearch.finetune import fine_tune, initial_model
from tlsearch.finetune.evaluate import evaluate
from tlsearch.finetune.schedule import rate_factor
from tlsearch.finetune.training import Training
from tlsearch.records import Decision, Hyperparameters, Range
from tlsearch.spec import RecipeSpec

CPU = torch.device("cpu")
PLAIN = Hyperparameters(
    reinit_layers=1,
    high_lr=0.01,
    low_lr_ratio=1.0,
    low_layers=0,
    alpha=0.0,
    beta=0.003,
    l2sp_layers=0,
)
RECIPE = RecipeSpec(
    image_size=64, epochs=2, warmup_epochs=0, eval_crop=1.0, schedule="constant", decay_norm=True
)


@pytest.mark.parametrize("momentum", [0.9, 0.0])
def test_equal_rates_and_no_l2_sp_are_torch_sgd(shipped_images, momentum):
    """Step for step: every parameter and buffer after every step of the epoch."""
    recipe = RECIPE.model_copy(update={"momentum": momentum, "label_smoothing": 0.1})
    backbone = stand_in("test_efficientnet")
    hyperparameters = replace(PLAIN, low_lr_ratio=1.0, low_layers=3)
    training = Training.begin(backbone, shipped_images, recipe, hyperparameters, CPU)
    model = initial_model(backbone, 10, 1, recipe.seed).to(memory_format=torch.channels_last)
    sgd = torch.optim.SGD(
        model.parameters(), lr=0.01, momentum=momentum, nesterov=momentum > 0, weight_decay=0.003
    )
    training.model.train()
    model.train()
    statistics = backbone.statistics
    batches = train_batches(shipped_images.train, recipe, statistics.mean, statistics.std, 1)
    for step, (images, labels) in enumerate(batches):
        training.run_step(images, labels, 1.0)
        sgd.zero_grad()
        F.cross_entropy(model(images), labels, label_smoothing=0.1).backward()
        sgd.step()
        for (name, ours), theirs in zip(
            training.model.state_dict().items(), model.state_dict().values(), strict=True
        ):
            torch.testing.assert_close(ours, theirs, atol=1e-6, rtol=1e-5, msg=f"{step} {name}")
    assert step == 8


def test_low_layers_move_at_the_low_rate(shipped_images):
    """Without momentum and decay, a first step is rate times gradient."""
    recipe = RECIPE.model_copy(update={"momentum": 0.0})
    backbone = stand_in("test_efficientnet")
    hyperparameters = replace(PLAIN, low_lr_ratio=0.1, low_layers=3, beta=0.0, reinit_layers=2)
    training = Training.begin(backbone, shipped_images, recipe, hyperparameters, CPU)
    before = {n: p.detach().clone() for n, p in training.model.named_parameters()}
    training.model.train()
    images, labels = next(train_batches(shipped_images.train, recipe, (0.5,) * 3, (0.5,) * 3, 1))
    training.run_step(images, labels, 1.0)
    for name, parameter in training.model.named_parameters():
        rate = 0.001 if backbone.layers.index_of[name] < 3 else 0.01
        assert parameter.grad is not None
        expected = before[name] - rate * parameter.grad
        torch.testing.assert_close(parameter.detach(), expected, atol=1e-7, rtol=1e-5, msg=name)


@pytest.mark.parametrize(("clip_norm", "clipped"), [(0.01, True), (1e6, False)])
def test_the_gradient_of_a_step_is_clipped_before_momentum_and_decay(
    shipped_images, clip_norm, clipped
):
    """Against the plain step: the same direction, and no longer than the limit."""
    backbone = stand_in("test_efficientnet")
    moved = {}
    for norm in (0.0, clip_norm):
        recipe = RECIPE.model_copy(update={"momentum": 0.0, "clip_norm": norm})
        hyperparameters = replace(PLAIN, beta=0.0)
        training = Training.begin(backbone, shipped_images, recipe, hyperparameters, CPU)
        before = [p.detach().clone() for p in training.model.parameters()]
        training.model.train()
        images, labels = next(
            train_batches(shipped_images.train, recipe, (0.5,) * 3, (0.5,) * 3, 1)
        )
        training.run_step(images, labels, 1.0)
        moves = zip(training.model.parameters(), before, strict=True)
        moved[norm] = torch.cat([(p.detach() - b).double().flatten() for p, b in moves])
    plain, found = moved[0.0], moved[clip_norm]
    factor = min(1.0, clip_norm * 0.01 / plain.norm().item())
    assert (factor < 1) is clipped
    torch.testing.assert_close(found, plain * factor, atol=1e-7, rtol=1e-3)


def test_same_arguments_same_curve_to_the_last_digit(shipped_images, lite0):
    recipe = RECIPE.model_copy(update={"epochs": 1})
    hyperparameters = replace(PLAIN, reinit_layers=2, low_lr_ratio=0.3, low_layers=5)
    curves = []
    for seed in (1, 2):
        torch.manual_seed(seed)  # what happens elsewhere must not matter
        result = fine_tune(lite0, shipped_images, recipe, hyperparameters, CPU)
        curves.append([(e.val_accuracy, e.train_loss) for e in result.curve])
    assert curves[0] == curves[1]
    other = fine_tune(
        lite0, shipped_images, recipe.model_copy(update={"seed": 1}), hyperparameters, CPU
    )
    assert other.curve[0].train_loss != curves[0][0][1]


def test_a_real_fine_tune_learns(shipped_images, lite0):
    """The shipped images, the quickstart's recipe, ImageNet weights."""
    recipe = RecipeSpec(
        image_size=64,
        epochs=12,
        warmup_epochs=2,
        eval_crop=1.0,
        crop_scale=Range(0.6, 1.0),
    )
    hyperparameters = replace(PLAIN, high_lr=0.03, alpha=0.01, l2sp_layers=17, beta=1e-4)
    untrained = initial_model(lite0, 10, 1, recipe.seed)
    at_the_start = evaluate(untrained, shipped_images.val, recipe, lite0.statistics).accuracy
    result = fine_tune(lite0, shipped_images, recipe, hyperparameters, CPU)
    assert at_the_start < 0.3
    assert result.val_accuracy >= 0.75
    assert [e.epoch for e in result.curve] == list(range(1, 13))
    assert result.curve[-1].train_loss < result.curve[0].train_loss


def test_stops_where_it_is_asked_to(shipped_images):
    reports = []

    def stop_after_two(report):
        reports.append(report)
        return Decision.STOP if report.epoch == 2 else Decision.CONTINUE

    recipe = RECIPE.model_copy(update={"epochs": 5})
    backbone = stand_in("test_efficientnet")
    result = fine_tune(backbone, shipped_images, recipe, PLAIN, CPU, stop_after_two)
    assert result.stopped
    assert result.curve == tuple(reports)
    assert len(reports) == 2


def test_asking_to_stop_after_the_last_epoch_changes_nothing(shipped_images):
    backbone = stand_in("test_efficientnet")
    result = fine_tune(backbone, shipped_images, RECIPE, PLAIN, CPU, lambda _: Decision.STOP)
    assert result.stopped
    recipe = RECIPE.model_copy(update={"epochs": 1})
    result = fine_tune(backbone, shipped_images, recipe, PLAIN, CPU, lambda _: Decision.STOP)
    assert not result.stopped


def test_a_loss_that_is_not_finite_fails_the_trial(shipped_images):
    backbone = stand_in("test_efficientnet")
    with pytest.raises(TrialFailure, match="not finite in epoch 1") as caught:
        fine_tune(backbone, shipped_images, RECIPE, replace(PLAIN, high_lr=1e12), CPU)
    assert caught.value.kind == "nan"


def test_accuracy_counts_the_right_ones(shipped_images):
    class Constant(nn.Module):
        def forward(self, images):
            return F.one_hot(torch.full((len(images),), 3), 10).float()

    model = Constant()
    found = evaluate(model, shipped_images.val, RECIPE, stand_in("test_efficientnet").statistics)
    assert found.accuracy == 0.1
    assert found.predictions == (3,) * 200
    assert not model.training


def test_predictions_are_those_of_the_images_in_order(shipped_images, monkeypatch):
    """In batches that do not divide the number of images, against one image at a time."""
    monkeypatch.setattr("tlsearch.finetune.evaluate.evaluated_at_once", lambda _: 64)
    backbone = stand_in("test_efficientnet")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = nn.Sequential(nn.Flatten(), nn.Linear(3 * 64 * 64, 10))
    mean, std = (
        torch.tensor(v).view(1, 3, 1, 1)
        for v in (backbone.statistics.mean, backbone.statistics.std)
    )
    (canvas,) = shipped_images.val.pixels
    pixels = torch.tensor(canvas).permute(0, 3, 1, 2)
    assert pixels.shape == (200, 3, 64, 64)
    with torch.inference_mode():
        expected = [int(model((image[None] / 255 - mean) / std).argmax()) for image in pixels]
        outputs = torch.cat([model((image[None] / 255 - mean) / std) for image in pixels])
    found = evaluate(model, shipped_images.val, RECIPE, backbone.statistics)
    assert list(found.predictions) == expected
    torch.testing.assert_close(found.probabilities, outputs.softmax(dim=1), atol=1e-5, rtol=1e-4)
    assert len(set(expected)) > 3
    right = int((torch.tensor(found.predictions) == shipped_images.val.labels).sum())
    assert found.accuracy == right / 200


@pytest.mark.parametrize("stop_after", [1, 2])
def test_predictions_are_those_of_the_last_epoch_that_ran(shipped_images, stop_after):
    result = fine_tune(
        stand_in("test_efficientnet"),
        shipped_images,
        RECIPE,
        PLAIN,
        CPU,
        lambda report: Decision.STOP if report.epoch == stop_after else Decision.CONTINUE,
    )
    assert len(result.curve) == stop_after
    predicted = torch.tensor(result.val_predictions)
    accuracy = int((predicted == shipped_images.val.labels).sum()) / 200
    assert accuracy == result.val_accuracy
    probabilities = result.val_probabilities
    assert probabilities is not None
    assert probabilities.shape == (200, 10)
    assert probabilities.dtype == np.float32
    assert probabilities.argmax(axis=1).tolist() == list(result.val_predictions)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-6)
    assert not probabilities.flags.writeable


class TestSchedule:
    def factors(self, **changes):
        recipe = RecipeSpec(**{"epochs": 10, "warmup_epochs": 2, **changes})
        return [rate_factor(recipe, step, 5) for step in range(50)]

    def test_cosine(self):
        factors = self.factors(schedule="cosine")
        assert factors[:10] == pytest.approx([(n + 1) / 11 for n in range(10)])
        assert factors[10:] == pytest.approx(
            [0.5 * (1 + math.cos(math.pi * n / 40)) for n in range(40)]
        )

    def test_step_counts_from_the_first_epoch(self):
        factors = self.factors(schedule="step", step_epochs=4, step_factor=0.5, warmup_epochs=0)
        assert factors == pytest.approx([1.0] * 20 + [0.5] * 20 + [0.25] * 10)

    def test_constant(self):
        assert self.factors(schedule="constant", warmup_epochs=0) == [1.0] * 50


@pytest.mark.gpu
def test_cuda_agrees_with_the_cpu(shipped_images, images_on_gpu, lite0):
    recipe = RECIPE.model_copy(update={"epochs": 3})
    on_cpu = fine_tune(lite0, shipped_images, recipe, PLAIN, CPU)
    on_gpu = fine_tune(lite0, images_on_gpu, recipe, PLAIN, torch.device("cuda", 0))
    assert on_gpu.curve[0].train_loss == pytest.approx(on_cpu.curve[0].train_loss, rel=0.1)
