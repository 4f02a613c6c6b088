"""mixup and CutMix, against torchvision's transforms with the same lambda, box and partner."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from scipy import stats
from timm.data.mixup import mixup_target
from timm.loss import SoftTargetCrossEntropy
from torch.nn import functional as F
from torchvision.transforms import v2

from tlsearch.data import mixed_batches
from tlsearch.data.mixing import Mixes, draw_mixes, mix, soft_labels
from tlsearch.spec import RecipeSpec

N, SIZE, CLASSES = 6, 16, 5
GENERATOR = torch.Generator().manual_seed(3)
PIXELS = torch.randn(N, 3, SIZE, SIZE, generator=GENERATOR)
LABELS = torch.tensor([0, 4, 2, 2, 1, 3])


def recipe(**keys) -> RecipeSpec:
    return RecipeSpec.model_validate({"image_size": SIZE, "batch_size": N, **keys})


def drawn(n=N, seed=0, size=SIZE, **keys) -> Mixes:
    return draw_mixes(n, size, recipe(**keys), np.random.default_rng(seed))


def torchvisions(kind, lam, place=(0, 0)):
    """Images and labels of torchvision's transform, whose draws are replaced by these."""
    transform = kind(num_classes=CLASSES)
    transform._dist = SimpleNamespace(sample=lambda _: torch.tensor([lam]))
    places = iter(place)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch, "randint", lambda *_, size: torch.tensor([next(places)]))
        return transform(PIXELS, LABELS)


@pytest.mark.parametrize("alpha", [0.2, 1.0])
def test_mixup_is_torchvisions(alpha):
    mixes = drawn(mixup=alpha)
    assert not mixes.pastes.any()
    pixels, labels = mix(PIXELS, mixes), soft_labels(LABELS, mixes.shares, CLASSES)
    assert len(set(mixes.shares.tolist())) == N  # each image has its own
    for row, share in enumerate(mixes.shares.tolist()):
        expected, expected_labels = torchvisions(v2.MixUp, share)
        torch.testing.assert_close(pixels[row], expected[row])
        torch.testing.assert_close(labels[row], expected_labels[row])


@pytest.mark.parametrize("seed", range(5))
def test_cutmix_is_torchvisions(seed):
    mixes = drawn(cutmix=1.0, seed=seed)
    assert mixes.pastes.all()
    pixels, labels = mix(PIXELS, mixes), soft_labels(LABELS, mixes.shares, CLASSES)
    rng = np.random.default_rng(seed)  # the same draws, one after the other
    rng.random(N)
    lambdas, centre = rng.beta(np.ones(N), np.ones(N)), rng.integers(SIZE, size=(2, N))
    for row in range(N):
        y, x = centre[:, row].tolist()
        expected, expected_labels = torchvisions(v2.CutMix, float(lambdas[row]), (x, y))
        assert torch.equal(pixels[row], expected[row])
        torch.testing.assert_close(labels[row], expected_labels[row])


def test_with_both_each_image_gets_one_of_them():
    mixes = drawn(n=4000, mixup=0.4, cutmix=1.0)
    assert abs(mixes.pastes.float().mean().item() - 0.5) < 4 * 0.5 / 4000**0.5
    assert (mixes.boxes[~mixes.pastes, 2:] == 0).all()
    blended = mixes.shares[~mixes.pastes].double().numpy()
    assert stats.kstest(blended, stats.beta(0.4, 0.4).cdf).pvalue > 1e-3
    pasted = 1 - mixes.boxes[mixes.pastes, 2:].prod(1) / SIZE**2
    torch.testing.assert_close(mixes.shares[mixes.pastes], pasted.float())


@pytest.mark.parametrize("alpha", [1e-300, 1e-3, 100.0])
def test_shares_of_extreme_alphas_are_shares(alpha):
    for keys in ({"mixup": alpha}, {"cutmix": alpha}):
        shares = drawn(n=500, **keys).shares
        assert ((shares >= 0) & (shares <= 1)).all()


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_the_loss_is_timms_soft_target_cross_entropy(smoothing):
    """Our soft labels in torch's cross-entropy with label smoothing, timm's in timm's."""
    outputs = torch.randn(N, CLASSES, generator=GENERATOR)
    for share in (0.3, 1.0):
        ours = soft_labels(LABELS, torch.full((N,), share), CLASSES)
        loss = F.cross_entropy(outputs, ours, label_smoothing=smoothing)
        # timm's partner is the image from the other end; here the one before.
        theirs = mixup_target(LABELS, CLASSES, share, smoothing) - (1 - share) * (
            smoothed(LABELS.flip(0), smoothing) - smoothed(LABELS.roll(1, 0), smoothing)
        )
        torch.testing.assert_close(loss, SoftTargetCrossEntropy()(outputs, theirs))
        hard = [
            F.cross_entropy(outputs, labels, label_smoothing=smoothing)
            for labels in (LABELS, LABELS.roll(1, 0))
        ]
        torch.testing.assert_close(loss, share * hard[0] + (1 - share) * hard[1])


def smoothed(labels: torch.Tensor, smoothing: float) -> torch.Tensor:
    return F.one_hot(labels, CLASSES) * (1 - smoothing) + smoothing / CLASSES


def test_without_both_nothing_changes():
    batches = [(PIXELS, LABELS)]
    ((pixels, labels),) = mixed_batches(batches, recipe(), CLASSES, 1)
    assert pixels is PIXELS
    assert labels is LABELS


def test_seed_and_epoch_decide():
    def both(seed: int, epoch: int) -> list[torch.Tensor]:
        spec = recipe(seed=seed, mixup=0.4, cutmix=1.0)
        batches = mixed_batches([(PIXELS, LABELS)] * 2, spec, CLASSES, epoch)
        return [pixels for pixels, _ in batches]

    first, second = both(0, 3)
    again = both(0, 3)
    assert torch.equal(first, again[0])
    assert torch.equal(second, again[1])
    for other in (second, both(0, 4)[0], both(1, 3)[0]):
        assert not torch.equal(first, other)


def test_mixed_batches_are_channels_last_and_sum_to_one():
    before = torch.get_rng_state()
    batches = [(PIXELS.contiguous(memory_format=torch.channels_last), LABELS)]
    ((pixels, labels),) = mixed_batches(batches, recipe(cutmix=1.0), CLASSES, 1)
    assert pixels.is_contiguous(memory_format=torch.channels_last)
    assert (pixels.dtype, labels.dtype) == (torch.float32, torch.float32)
    torch.testing.assert_close(labels.sum(1), torch.ones(N))
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.gpu
def test_a_gpu_mixes_the_same():
    spec = recipe(mixup=0.4, cutmix=1.0)
    ((pixels, labels),) = mixed_batches([(PIXELS, LABELS)], spec, CLASSES, 1)
    on_gpu = mixed_batches([(PIXELS.cuda(), LABELS.cuda())], spec, CLASSES, 1)
    ((others, other_labels),) = on_gpu
    torch.testing.assert_close(pixels, others.cpu())
    torch.testing.assert_close(labels, other_labels.cpu())
