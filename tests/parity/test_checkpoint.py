"""A fine-tuning that is interrupted and resumed ends with the same bits as one in one piece."""

import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import safetensors.torch
import timm
import torch
from timm.models import register_model

from tests.parity.conftest import stand_in
from tests.parity.trainings import (
    ALL_STEPS,
    CPU,
    KNOBS,
    PLAIN_NETWORK,
    RECIPE,
    STEPS,
    AfterSteps,
    Run,
    assert_same_bits,
    assert_same_training,
    interrupted,
    probabilities,
)
from tlsearch.errors import CheckpointError, Interrupted, TrialFailure
from tlsearch.finetune import FineTuneData, fine_tune
from tlsearch.finetune.checkpoint import curve_of, load_weights, model_only
from tlsearch.finetune.training import Training
from tlsearch.records import Decision
from tlsearch.spec import RecipeSpec


@register_model
def test_checkpoint_dropping(**arguments):
    """A tiny ConvNeXt that draws from torch's generator in every training step."""
    return timm.create_model(
        "test_convnext", **{"drop_rate": 0.3, "drop_path_rate": 0.3, **arguments}
    )


test_checkpoint_dropping.__test__ = False

DROPPING = "test_checkpoint_dropping"


@pytest.fixture(scope="module")
def whole(shipped_images) -> Callable[[str], Run]:
    """Fine-tunings in one piece, by network."""
    runs: dict[str, Run] = {}

    def run(network: str) -> Run:
        if network not in runs:
            runs[network] = Run(shipped_images, network)
        return runs[network]

    return run


@pytest.fixture(scope="module")
def mid_epoch(shipped_images) -> bytes:
    """A checkpoint two steps into the second epoch."""
    return interrupted(shipped_images, PLAIN_NETWORK, STEPS + 2)


class TestGoingOn:
    @pytest.mark.parametrize("network", [PLAIN_NETWORK, DROPPING])
    @pytest.mark.parametrize("steps", range(1, ALL_STEPS + 1))
    def test_from_any_step(self, shipped_images, whole, network, steps):
        data = interrupted(shipped_images, network, steps)
        complete = (steps - 1) // STEPS  # the epoch's last step is before its validation
        assert [e.epoch for e in curve_of(data)] == list(range(1, complete + 1))
        resumed = Run(shipped_images, network, resume=data)
        assert [e.epoch for e in resumed.reports] == list(range(complete + 1, RECIPE.epochs + 1))
        assert_same_training(resumed, whole(network))

    @pytest.mark.parametrize("network", [PLAIN_NETWORK, DROPPING])
    def test_from_the_checkpoint_of_any_epoch(self, shipped_images, whole, network):
        expected = whole(network)
        assert len(expected.checkpoints) == RECIPE.epochs
        for epoch, data in enumerate(expected.checkpoints[:-1], start=1):
            resumed = Run(shipped_images, network, resume=data)
            assert resumed.result.curve[:epoch] == expected.result.curve[:epoch]
            assert_same_training(resumed, expected)

    def test_interrupted_again_and_again(self, shipped_images, whole):
        data = None
        for steps in (3, 1, 2, 5):  # mid epoch, last step, mid epoch, last but one of all
            data = interrupted(shipped_images, DROPPING, steps, resume=data)
        assert_same_training(Run(shipped_images, DROPPING, resume=data), whole(DROPPING))

    def test_twice_from_the_same_checkpoint(self, shipped_images, whole, mid_epoch):
        for _ in range(2):
            resumed = Run(shipped_images, PLAIN_NETWORK, resume=mid_epoch)
            assert_same_training(resumed, whole(PLAIN_NETWORK))

    @pytest.mark.parametrize(
        "changes",
        [
            {"momentum": 0.0},
            {"schedule": "step", "step_epochs": 2},
            {"mixup": 0.4, "cutmix": 1.0, "augment": "trivial", "erasing": 0.5},
            {"dropout": 0.3, "drop_path": 0.3},
        ],
    )
    def test_with_other_recipes(self, shipped_images, changes):
        recipe = RECIPE.model_copy(update=changes)
        data = interrupted(shipped_images, PLAIN_NETWORK, STEPS + 1, recipe)
        resumed = Run(shipped_images, PLAIN_NETWORK, recipe, resume=data)
        assert_same_training(resumed, Run(shipped_images, PLAIN_NETWORK, recipe))

    def test_after_all_epochs_it_returns_at_once(self, shipped_images, whole, monkeypatch):
        expected = whole(PLAIN_NETWORK)
        monkeypatch.setattr(Training, "run_step", lambda *_: pytest.fail("a step was trained"))
        for data in (expected.checkpoints[-1], model_only(expected.checkpoints[-1])):
            again = Run(shipped_images, PLAIN_NETWORK, resume=data)
            assert (again.reports, again.checkpoints) == ([], [])
            assert again.result.curve == expected.result.curve
            assert again.result.val_predictions == expected.result.val_predictions
            assert np.array_equal(probabilities(again), probabilities(expected))
            assert not again.result.stopped

    @pytest.mark.parametrize(
        ("network", "changes"),
        [
            (DROPPING, {}),
            (
                PLAIN_NETWORK,
                {"optimizer": "adamw", "ema_epochs": 0.5, "batch_norm": "recalibrated"},
            ),
        ],
    )
    def test_in_another_process(self, shipped_images, tmp_path, network, changes):
        recipe = RECIPE.model_copy(update=changes)
        expected = Run(shipped_images, network, recipe)
        data = interrupted(shipped_images, network, STEPS + 2, recipe)
        before, after = tmp_path / "before", tmp_path / "after"
        before.write_bytes(data)
        script = "import sys; from tests.parity.test_checkpoint import go_on; go_on(*sys.argv[1:])"
        arguments = [before, after, network, recipe.model_dump_json()]
        subprocess.run([sys.executable, "-c", script, *arguments], check=True, timeout=200)
        found = after.read_bytes()
        assert [(e.epoch, e.val_accuracy, e.train_loss) for e in curve_of(found)] == (
            expected.figures
        )
        last = safetensors.torch.load(expected.checkpoints[-1])
        assert_same_bits(safetensors.torch.load(found), last)

    def test_seconds_go_on(self, shipped_images, monkeypatch):
        clock = SimpleNamespace(now=100.0)
        monkeypatch.setattr("tlsearch.finetune.training.time.monotonic", lambda: clock.now)

        def a_second_a_step(steps):
            stop = AfterSteps(steps)

            def should_stop():
                clock.now += 1
                return stop()

            return should_stop

        with pytest.raises(Interrupted) as caught:
            Run(shipped_images, PLAIN_NETWORK, should_stop=a_second_a_step(STEPS + 2))
        clock.now = 1e6  # meanwhile
        resumed = Run(
            shipped_images,
            PLAIN_NETWORK,
            should_stop=a_second_a_step(0),
            resume=caught.value.checkpoint,
        )
        assert [e.seconds for e in resumed.result.curve] == [4, 8, 12]
        assert resumed.result.seconds == 12

    def test_a_loss_that_was_not_finite_fails_the_resumed_trial(self, shipped_images):
        knobs = replace(KNOBS, high_lr=1e12)
        data = interrupted(shipped_images, PLAIN_NETWORK, STEPS, knobs=knobs)
        with pytest.raises(TrialFailure, match="not finite in epoch 1"):
            Run(shipped_images, PLAIN_NETWORK, knobs=knobs, resume=data)

    def test_the_callers_generator_is_left_alone(self, shipped_images, mid_epoch):
        torch.manual_seed(5)
        before = torch.get_rng_state()
        Run(shipped_images, PLAIN_NETWORK, resume=mid_epoch)
        assert torch.equal(torch.get_rng_state(), before)


def go_on(before: str, after: str, network: str, recipe: str) -> None:
    """What the other process does."""
    from tlsearch.data import load_catalog, load_training_data
    from tlsearch.spec import DataSpec

    torch.manual_seed(77)
    catalog = load_catalog(DataSpec(path="builtin:fashion-mnist-30"))
    images = FineTuneData.on_device(load_training_data(catalog, 64, 1.0), CPU)
    data = Path(before).read_bytes()
    run = Run(images, network, RecipeSpec.model_validate_json(recipe), resume=data)
    Path(after).write_bytes(run.checkpoints[-1])


class TestWhatIsKept:
    def training(self, images, data=None, knobs=KNOBS) -> Training:
        training = Training.begin(stand_in(PLAIN_NETWORK), images, RECIPE, knobs, CPU)
        if data is not None:
            training.restore(data)
        return training

    def trained(self, images, steps=2) -> Training:
        training = self.training(images)
        training.model.train()
        for batch, _ in zip(training.batches(1), range(steps), strict=False):
            training.run_step(*batch, 1.0)
        return training

    def momentum(self, training):
        state = training.optimizer.state
        return {n: state[p]["momentum_buffer"] for n, p in training.model.named_parameters()}

    def test_momentum_comes_back(self, shipped_images):
        """Bit for bit, and training without it would end elsewhere."""
        before = self.trained(shipped_images)
        after = self.training(shipped_images, before.checkpoint())
        assert_same_bits(self.momentum(after), self.momentum(before))
        assert all(buffer.abs().max() > 0 for buffer in self.momentum(after).values())
        without = self.training(shipped_images, before.checkpoint())
        without.optimizer.state.clear()
        batch = next(before.batches(2))
        for training in (before, after, without):
            training.model.train()
            training.run_step(*batch, 1.0)
        assert_same_bits(after.model.state_dict(), before.model.state_dict())
        for name, parameter in without.model.named_parameters():
            assert not torch.equal(parameter, before.model.get_parameter(name)), name

    def test_memory_format_comes_back(self, shipped_images):
        """Parameters, and momentum like them, stay channels last, which is what is fast."""
        before = self.trained(shipped_images)
        after = self.training(shipped_images, before.checkpoint())
        n_convolutions = 0
        for name, parameter in after.model.named_parameters():
            strides = before.model.get_parameter(name).stride()
            assert parameter.stride() == strides
            assert self.momentum(before)[name].stride() == strides
            assert self.momentum(after)[name].stride() == strides
            if parameter.ndim == 4:
                n_convolutions += 1
                assert parameter.is_contiguous(memory_format=torch.channels_last)
        assert n_convolutions > 5

    def test_l2_sp_still_pulls_to_the_pretrained_weights(self, shipped_images):
        before = self.trained(shipped_images)
        after = self.training(shipped_images, before.checkpoint())
        pairs = zip(before.decay_terms._start, after.decay_terms._start, strict=True)
        assert all(torch.equal(one, other) for one, other in pairs)
        assert len(before.decay_terms._start) > 0

    def test_it_shares_no_memory_with_what_is_trained(self, shipped_images):
        training = self.trained(shipped_images)
        data = training.checkpoint()
        kept, weights = bytes(bytearray(data)), load_weights(data)
        again = self.training(shipped_images, data)
        for one in (training, again):
            one.run_step(*next(one.batches(2)), 1.0)
        for tensor in weights.values():
            tensor.zero_()
        assert data == kept
        assert not torch.equal(
            load_weights(data)["classifier.weight"], weights["classifier.weight"]
        )
        self.training(shipped_images, data)

    def test_tied_weights(self, shipped_images):
        training = self.trained(shipped_images)
        training.model.tied = training.model.classifier
        weights = load_weights(training.checkpoint())
        assert torch.equal(weights["tied.weight"], weights["classifier.weight"])

    def test_the_model_alone(self, shipped_images, whole, mid_epoch):
        full = whole(PLAIN_NETWORK).checkpoints[-1]
        kept = model_only(full)
        assert len(kept) < 0.6 * len(full)
        assert_same_bits(load_weights(kept), load_weights(full))
        assert curve_of(kept) == curve_of(full) == whole(PLAIN_NETWORK).result.curve
        assert_same_bits(load_weights(model_only(kept)), load_weights(full))
        with pytest.raises(CheckpointError, match="only the model, after 1 of 3 epochs"):
            self.training(shipped_images, model_only(mid_epoch))

    def test_nothing_is_serialised_unless_asked_for(self, shipped_images, monkeypatch):
        monkeypatch.setattr(Training, "checkpoint", lambda _: pytest.fail("a checkpoint was made"))
        fine_tune(
            stand_in(PLAIN_NETWORK),
            shipped_images,
            RECIPE,
            KNOBS,
            CPU,
            should_stop=lambda: False,
        )

    def test_stopping_after_an_epoch_leaves_none_of_it(self, shipped_images):
        kept: list[bytes] = []
        result = fine_tune(
            stand_in(PLAIN_NETWORK),
            shipped_images,
            RECIPE,
            KNOBS,
            CPU,
            lambda report: Decision.STOP if report.epoch == 2 else Decision.CONTINUE,
            on_checkpoint=kept.append,
        )
        assert result.stopped
        assert [len(curve_of(data)) for data in kept] == [1]


@pytest.mark.gpu
def test_cuda_resumes_with_its_own_generator(shipped_images):
    device = torch.device("cuda")
    training = Training.begin(stand_in(DROPPING), shipped_images, RECIPE, KNOBS, device)
    data = training.checkpoint()
    drawn = torch.rand(5, device=device)
    again = Training.begin(stand_in(DROPPING), shipped_images, RECIPE, KNOBS, device)
    again.restore(data)
    assert torch.equal(torch.rand(5, device=device), drawn)
    on_cpu = Training.begin(stand_in(DROPPING), shipped_images, RECIPE, KNOBS, CPU)
    on_cpu.restore(data)
    assert_same_bits(
        on_cpu.model.state_dict(), {n: t.cpu() for n, t in training.model.state_dict().items()}
    )
    again.restore(on_cpu.checkpoint())
