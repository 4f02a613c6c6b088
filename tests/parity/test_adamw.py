"""AdamW with decoupled decay: against torch's, against its formula, and across interruptions."""

from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from tests.parity.conftest import stand_in
from tests.parity.trainings import (
    ALL_STEPS,
    CPU,
    KNOBS,
    PLAIN_NETWORK,
    RECIPE,
    STEPS,
    Run,
    assert_same_bits,
    assert_same_training,
    interrupted,
)
from tlsearch.errors import CheckpointError
from tlsearch.finetune import group_parameters, initial_model, lr_range_test
from tlsearch.finetune.training import Training
from tlsearch.records import Hyperparameters

ADAMW = RECIPE.model_copy(update={"optimizer": "adamw", "decay_norm": True})
PLAIN = Hyperparameters(1, 3e-3, 1.0, 0, 0.0, 0.05, 0)
RATES = replace(KNOBS, high_lr=2e-3, alpha=0.3, beta=0.1)


def test_without_l2_sp_it_is_torch_adamw_to_the_last_bit(shipped_images):
    """Every parameter and buffer after every step of an epoch, under changing rates."""
    backbone = stand_in(PLAIN_NETWORK)
    two_rates = replace(PLAIN, low_layers=3, low_lr_ratio=0.3)
    training = Training.begin(backbone, shipped_images, ADAMW, two_rates, CPU)
    model = initial_model(backbone, 10, 1, ADAMW.seed).to(memory_format=torch.channels_last)
    groups = group_parameters(model, backbone.layers, two_rates, decay_norm=True)
    adamw = torch.optim.AdamW(
        [
            {"params": list(g.parameters), "peak": 3e-3 * (0.3 if g.rate == "low" else 1.0)}
            for g in groups
        ],
        weight_decay=0.05,
        foreach=True,
    )
    assert len(adamw.param_groups) == 2
    training.set_training_mode()
    model.train()
    for step, (images, labels) in enumerate(training.batches(1)):
        factor = 1 / (step + 1)
        training.run_step(images, labels, factor)
        for group in adamw.param_groups:
            group["lr"] = group["peak"] * factor
        adamw.zero_grad()
        F.cross_entropy(model(images), labels, label_smoothing=0.1).backward()
        adamw.step()
        assert_same_bits(training.model.state_dict(), model.state_dict())
    assert step == STEPS - 1


def test_each_decay_moves_its_own_weights(shipped_images):
    """Against the formula, with Adam's part of the step from torch."""
    backbone = stand_in(PLAIN_NETWORK)
    recipe = ADAMW.model_copy(update={"decay_norm": False})
    training = Training.begin(backbone, shipped_images, recipe, RATES, CPU)
    model = training.model
    decay = {
        name: (group.decay, RATES.low_lr if group.rate == "low" else RATES.high_lr)
        for group in group_parameters(model, backbone.layers, RATES)
        for name in group.names
    }
    assert {kind for kind, _ in decay.values()} == {"l2", "l2_sp", "none"}
    start = {name: p.detach().clone() for name, p in model.named_parameters()}
    training.set_training_mode()
    for step, (images, labels) in enumerate(training.batches(1), start=1):
        before = {name: p.detach().clone() for name, p in model.named_parameters()}
        training.run_step(images, labels, 0.5)
        for name, parameter in model.named_parameters():
            state = training.optimizer.state[parameter]
            m, v = state["exp_avg"] / (1 - 0.9**step), state["exp_avg_sq"] / (1 - 0.999**step)
            kind, peak = decay[name]
            w, rate = before[name], 0.5 * peak
            pull = {"l2": 0.1 * w, "l2_sp": 0.3 * (w - start[name]), "none": 0 * w}[kind]
            expected = w - rate * pull - rate * m / (v.sqrt() + 1e-8)
            torch.testing.assert_close(parameter.detach(), expected, atol=1e-6, rtol=1e-5, msg=name)
    moved = [n for n, (kind, _) in decay.items() if kind == "l2_sp"]
    assert all(not torch.equal(start[n], model.get_parameter(n)) for n in moved)


def test_parameters_without_a_gradient_do_not_decay(shipped_images):
    training = Training.begin(stand_in(PLAIN_NETWORK), shipped_images, ADAMW, RATES, CPU)
    for _, parameter in zip(range(4), training.model.parameters(), strict=False):
        parameter.requires_grad_(False)
    still = {n: p.clone() for n, p in training.model.named_parameters() if not p.requires_grad}
    training.set_training_mode()
    for batch in training.batches(1):
        training.run_step(*batch, 1.0)
    assert len(still) == 4
    assert_same_bits({n: training.model.get_parameter(n) for n in still}, still)


@pytest.fixture(scope="module")
def whole(shipped_images) -> Run:
    return Run(shipped_images, PLAIN_NETWORK, ADAMW, RATES)


class TestResuming:
    @pytest.mark.parametrize("steps", [1, STEPS, STEPS + 2, ALL_STEPS])
    def test_from_any_step(self, shipped_images, whole, steps):
        data = interrupted(shipped_images, PLAIN_NETWORK, steps, ADAMW, knobs=RATES)
        resumed = Run(shipped_images, PLAIN_NETWORK, ADAMW, RATES, resume=data)
        assert_same_training(resumed, whole)

    @pytest.mark.parametrize("epoch", [1, 2])
    def test_from_any_epoch(self, shipped_images, whole, epoch):
        data = whole.checkpoints[epoch - 1]
        resumed = Run(shipped_images, PLAIN_NETWORK, ADAMW, RATES, resume=data)
        assert_same_training(resumed, whole)

    def test_the_moments_matter(self, shipped_images):
        """Training without them would end elsewhere; they have the parameters' memory format."""
        before = Training.begin(stand_in(PLAIN_NETWORK), shipped_images, ADAMW, RATES, CPU)
        before.set_training_mode()
        for batch in before.batches(1):
            before.run_step(*batch, 1.0)
        after, without = (
            Training.begin(stand_in(PLAIN_NETWORK), shipped_images, ADAMW, RATES, CPU)
            for _ in range(2)
        )
        for training in (after, without):
            training.restore(before.checkpoint())
            training.set_training_mode()
        for parameter, restored in zip(
            before.model.parameters(), after.model.parameters(), strict=True
        ):
            ours, theirs = before.optimizer.state[parameter], after.optimizer.state[restored]
            assert set(ours) == set(theirs) == {"step", "exp_avg", "exp_avg_sq"}
            for key, value in ours.items():
                assert torch.equal(theirs[key], value)
                assert theirs[key].stride() == value.stride()
                assert theirs[key].device == value.device
        without.optimizer.state.clear()
        batch = next(before.batches(2))
        for training in (before, after, without):
            training.run_step(*batch, 1.0)
        assert_same_bits(after.model.state_dict(), before.model.state_dict())
        for name, parameter in without.model.named_parameters():
            assert not torch.equal(parameter, before.model.get_parameter(name)), name

    def test_not_from_a_checkpoint_of_sgd(self, shipped_images):
        sgd = ADAMW.model_copy(update={"optimizer": "sgd"})
        data = interrupted(shipped_images, PLAIN_NETWORK, 2, sgd, knobs=RATES)
        with pytest.raises(CheckpointError, match="another training"):
            Run(shipped_images, PLAIN_NETWORK, ADAMW, RATES, resume=data)


def test_the_range_test_has_rates_of_its_own(shipped_images, monkeypatch):
    """A decade below those of SGD, from its first to its last."""
    found: dict[str, list[float]] = {"sgd": [], "adamw": []}
    for name, rates in found.items():

        def run_step(training, images, labels, factor, rates=rates):
            rates.append(factor)
            return torch.tensor(1.0)

        monkeypatch.setattr(Training, "run_step", run_step)
        recipe = RECIPE.model_copy(update={"optimizer": name})
        lr_range_test(stand_in(PLAIN_NETWORK), shipped_images, recipe, CPU)
    assert (found["sgd"][0], found["sgd"][-1]) == (1e-4, 1.0)
    np.testing.assert_allclose(found["adamw"], np.array(found["sgd"]) / 10)
