"""Batch-norm statistics: recalibrated against a plain formula, frozen, and what is kept."""

from dataclasses import replace

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
    assert_same_training,
    interrupted,
)
from tlsearch.backbones import build
from tlsearch.errors import SpecError
from tlsearch.finetune import check_recipe, initial_model
from tlsearch.finetune.batch_norm import (
    LEAST_IMAGES,
    batch_norms,
    clean_sample,
    pretrained_batch_norms,
    recalibrate,
    recalibrate_on,
)
from tlsearch.finetune.evaluate import evaluate
from tlsearch.finetune.training import Training

RECALIBRATED = RECIPE.model_copy(update={"batch_norm": "recalibrated"})
RUNNING = RECIPE.model_copy(update={"batch_norm": "running"})
FROZEN = RECIPE.model_copy(update={"batch_norm": "frozen"})
CONVNEXT = "test_convnext"  # LayerNorm


def is_statistic(name: str) -> bool:
    return name.endswith(("running_mean", "running_var"))


def batches_of(sizes):
    generator = torch.Generator().manual_seed(3)
    return [torch.randn(n, 3, 32, 32, generator=generator) * (1 + n / 10) + n for n in sizes]


class TestRecalibrate:
    def test_statistics_are_those_of_all_activations(self):
        """Against a concatenation of each layer's inputs, for batches of unlike size and mean."""
        model = build(PLAIN_NETWORK, 10, seed=4)
        batches = batches_of([7, 12, 5])
        seen: dict[str, list[torch.Tensor]] = {name: [] for name in batch_norms(model)}
        plain = build(PLAIN_NETWORK, 10, seed=4).train()
        hooks = [
            layer.register_forward_pre_hook(lambda _, given, name=name: seen[name].append(given[0]))
            for name, layer in batch_norms(plain).items()
        ]
        with torch.no_grad():
            for images in batches:
                plain(images)
        assert len(hooks) > 10
        recalibrate(model, batches)
        for name, layer in batch_norms(model).items():
            assert len(seen[name]) == 3
            assert layer.running_mean is not None
            assert layer.running_var is not None
            values = torch.cat([v.transpose(0, 1).flatten(1) for v in seen[name]], dim=1).double()
            torch.testing.assert_close(
                layer.running_mean.double(), values.mean(1), atol=1e-5, rtol=1e-5
            )
            torch.testing.assert_close(
                layer.running_var.double(), values.var(1), atol=1e-7, rtol=1e-4
            )

    def test_nothing_else_changes(self):
        model = build(PLAIN_NETWORK, 10, seed=4).train()
        before = {name: t.clone() for name, t in model.state_dict().items()}
        momenta = [layer.momentum for layer in batch_norms(model).values()]
        torch.manual_seed(5)
        generator = torch.get_rng_state()
        recalibrate(model, batches_of([8, 8]))
        assert torch.equal(torch.get_rng_state(), generator)
        after = model.state_dict()
        assert_same_bits(
            {n: t for n, t in after.items() if not is_statistic(n)},
            {n: t for n, t in before.items() if not is_statistic(n)},
        )
        statistics = [n for n in after if is_statistic(n)]
        assert all(not torch.equal(after[n], before[n]) for n in statistics)
        assert [layer.momentum for layer in batch_norms(model).values()] == momenta
        assert not any(module.training for module in model.modules())
        assert not any(layer._forward_hooks for layer in batch_norms(model).values())

    def test_after_a_failure_the_model_is_as_before(self):
        model = build(PLAIN_NETWORK, 10, seed=4)
        before = {name: t.clone() for name, t in model.state_dict().items()}
        with pytest.raises(RuntimeError):
            recalibrate(model, [*batches_of([4]), torch.zeros(4, 5, 32, 32)])
        assert_same_bits(model.state_dict(), before)
        assert not any(layer._forward_hooks for layer in batch_norms(model).values())

    def test_a_layer_counts_as_often_as_it_is_called(self):
        class Network(nn.Module):
            def __init__(self):
                super().__init__()
                self.twice, self.never = nn.BatchNorm2d(3), nn.BatchNorm2d(3)

            def forward(self, images):
                return self.twice(2 * self.twice(images) + 1)

        model, batches = Network(), batches_of([4, 6])
        recalibrate(model, iter(batches))
        seconds = []
        for images in batches:
            variance, mean = torch.var_mean(images.double(), (0, 2, 3), correction=0, keepdim=True)
            seconds.append(2 * (images - mean) / (variance + model.twice.eps).sqrt() + 1)
        variance, mean = torch.var_mean(torch.cat([*batches, *seconds]), (0, 2, 3))
        found = dict(model.named_buffers())
        torch.testing.assert_close(found["twice.running_mean"], mean.float())
        torch.testing.assert_close(found["twice.running_var"], variance.float())
        assert found["never.running_mean"].tolist() == [0, 0, 0]
        assert found["never.running_var"].tolist() == [1, 1, 1]

    def test_no_layer_is_called(self):
        class Network(nn.Module):
            def __init__(self):
                super().__init__()
                self.never = nn.BatchNorm2d(3)

            def forward(self, images):
                return images

        model = Network()
        before = {name: buffer.clone() for name, buffer in model.named_buffers()}
        recalibrate(model, iter(batches_of([4, 6])))
        assert_same_bits(dict(model.named_buffers()), before)

    def test_without_such_layers_no_image_is_used(self):
        model = build(CONVNEXT, 10, seed=4)
        before = {name: t.clone() for name, t in model.state_dict().items()}
        unused = iter(batches_of([4]))
        recalibrate(model, unused)
        assert len(next(unused)) == 4
        assert_same_bits(model.state_dict(), before)


def test_large_images_go_through_it_in_smaller_batches(shipped_images, monkeypatch):
    """The same images, each once, in batches of which none is larger than validation's."""
    monkeypatch.setattr("tlsearch.finetune.batch_norm.evaluated_at_once", lambda _: 40)
    model = build(PLAIN_NETWORK, 10, seed=4)
    lengths: list[int] = []
    model.register_forward_pre_hook(lambda _, given: lengths.append(len(given[0])))
    before = model.state_dict()["bn1.running_mean"].clone()
    recalibrate_on(model, shipped_images.train, RECALIBRATED, stand_in(PLAIN_NETWORK).statistics)
    assert sum(lengths) == len(shipped_images.train) == 300
    assert max(lengths) <= 40
    assert not torch.equal(model.state_dict()["bn1.running_mean"], before)


class TestSample:
    @pytest.mark.parametrize(
        ("n_images", "n_used"), [(1, 1), (300, 300), (512, 512), (2000, 512), (4000, 1000)]
    )
    def test_size(self, n_images, n_used):
        batches = clean_sample(n_images, seed=0)
        used = torch.cat(batches)
        assert len(used) == len(set(used.tolist())) == n_used
        assert 0 <= int(used.min()) <= int(used.max()) < n_images
        lengths = [len(batch) for batch in batches]
        assert max(lengths) <= 200
        assert max(lengths) - min(lengths) <= 1

    def test_it_is_shuffled_and_always_the_same(self):
        def drawn(seed):
            return torch.cat(clean_sample(LEAST_IMAGES, seed)).tolist()

        assert drawn(1) == drawn(1)
        assert drawn(1) != drawn(2)
        assert drawn(1) != sorted(drawn(1))


@pytest.fixture(scope="module")
def whole(shipped_images) -> Run:
    return Run(shipped_images, PLAIN_NETWORK, RECALIBRATED)


class TestRecalibratedTraining:
    @pytest.mark.parametrize("steps", [1, STEPS, STEPS + 1, ALL_STEPS])
    def test_resumes_from_any_step(self, shipped_images, whole, steps):
        assert_resumes_from_step(shipped_images, whole, steps, RECALIBRATED)

    @pytest.mark.parametrize("epoch", [1, 2])
    def test_resumes_from_any_epoch(self, shipped_images, whole, epoch):
        assert_resumes_from_epoch(shipped_images, whole, epoch, RECALIBRATED)

    def test_a_trained_model_is_evaluated_as_it_is(self, shipped_images, whole):
        again = Run(shipped_images, PLAIN_NETWORK, RECALIBRATED, resume=whole.checkpoints[-1])
        assert again.result.val_predictions == whole.result.val_predictions

    def test_the_training_is_that_with_running_statistics(self, shipped_images, whole):
        """Same losses, and the same bits in all checkpoints but the last one's statistics."""
        running = Run(shipped_images, PLAIN_NETWORK, RUNNING)
        losses = [[e.train_loss for e in run.result.curve] for run in (whole, running)]
        assert losses[0] == losses[1]
        ours, theirs = whole.weights, running.weights
        for name, tensor in theirs.items():
            assert torch.equal(ours[name], tensor) is not is_statistic(name), name
        assert whole.figures != running.figures

    def test_the_kept_model_gives_the_reported_accuracy(self, shipped_images, whole):
        backbone = stand_in(PLAIN_NETWORK)
        model = initial_model(backbone, 10, KNOBS.reinit_layers, 0)
        model.load_state_dict(whole.weights)
        found = evaluate(model, shipped_images.val, RECALIBRATED, backbone.statistics)
        assert found.accuracy == whole.result.val_accuracy
        assert found.predictions == whole.result.val_predictions

    def test_a_network_without_such_layers_trains_as_before(self, shipped_images):
        recalibrated = Run(shipped_images, CONVNEXT, RECALIBRATED)
        assert recalibrated.figures == Run(shipped_images, CONVNEXT, RUNNING).figures


class TestFrozenTraining:
    def test_pretrained_statistics_stay_and_weights_move(self, shipped_images):
        backbone = stand_in(PLAIN_NETWORK)
        knobs = replace(KNOBS, reinit_layers=3)
        training = Training.begin(backbone, shipped_images, FROZEN, knobs, CPU)
        before = {name: t.clone() for name, t in training.model.state_dict().items()}
        training.run_epoch(1)
        after = training.model.state_dict()
        kept = len(backbone.layers.layers) - 3
        n_pretrained = n_fresh = 0
        for name in filter(is_statistic, after):
            pretrained = backbone.layers.index_of[name] < kept
            assert torch.equal(after[name], before[name]) is pretrained, name
            n_pretrained += pretrained
            n_fresh += not pretrained
        assert n_pretrained > 5
        assert n_fresh > 1
        for name, layer in batch_norms(training.model).items():
            assert not torch.equal(layer.weight, before[f"{name}.weight"])
        frozen = pretrained_batch_norms(training.model, backbone.layers, 3)
        assert 2 * len(frozen) == n_pretrained

    @pytest.mark.parametrize("steps", [STEPS, STEPS + 1])
    def test_resumes(self, shipped_images, steps):
        data = interrupted(shipped_images, PLAIN_NETWORK, steps, FROZEN)
        resumed = Run(shipped_images, PLAIN_NETWORK, FROZEN, resume=data)
        assert_same_training(resumed, Run(shipped_images, PLAIN_NETWORK, FROZEN))

    def test_a_network_without_such_layers_is_refused(self, shipped_images):
        with pytest.raises(SpecError, match="test_convnext has no batch-norm layers to freeze"):
            Run(shipped_images, CONVNEXT, FROZEN)


def test_one_image_a_class_is_too_few_to_recalibrate():
    with pytest.raises(SpecError, match="10 training images of 10 classes are too few"):
        check_recipe(RECALIBRATED, stand_in(PLAIN_NETWORK), 10, 10)
    check_recipe(RECALIBRATED, stand_in(PLAIN_NETWORK), 11, 10)
    check_recipe(RECALIBRATED, stand_in(CONVNEXT), 10, 10)
    check_recipe(RUNNING, stand_in(PLAIN_NETWORK), 10, 10)
