"""TrivialAugment and RandAugment, operation by operation, against torchvision's on one image."""

from typing import Any

import pytest
import torch
from scipy import stats
from torch.nn import functional as F
from torchvision.transforms import InterpolationMode, v2

from tlsearch.data.augment import (
    FACTORS,
    GEOMETRIC,
    Augmentations,
    Op,
    augment,
    draw_augmentations,
)
from tlsearch.spec import MAGNITUDES, RecipeSpec

SIZE = 32
SIGNED = GEOMETRIC + FACTORS
CUT_OFF = (*FACTORS, Op.AUTOCONTRAST)
THEIR_NAMES = {
    op: {"COLOUR": "Color", "AUTOCONTRAST": "AutoContrast"}.get(
        op.name, op.name.title().replace("_", "")
    )
    for op in Op
}


def some_images(n: int, size: int = SIZE) -> torch.Tensor:
    """Smooth pictures, flat and grey ones, ones of few colours, and noise."""
    generator = torch.Generator().manual_seed(7)
    small = torch.rand(n, 3, 5, 5, generator=generator) * 300 - 20
    images = F.interpolate(small, size, mode="bicubic", align_corners=False).clamp(0, 255)
    images[0] = 130  # flat
    images[1] = images[1, :1]  # grey
    images[2] = images[2].gt(100) * 200 + 20  # two values
    images[3] = torch.rand(3, size, size, generator=generator) * 255
    images[4] = images[4] / 4 + 60  # low contrast
    return images.round().to(torch.uint8)


IMAGES = some_images(8)


def recipe(**keys) -> RecipeSpec:
    return RecipeSpec.model_validate({"image_size": SIZE, **keys})


def their_space(kind: Any, op: Op) -> tuple[list[float], bool]:
    """Return torchvision's magnitudes of an operation, and whether half are negative."""
    magnitudes, signed = kind._AUGMENTATION_SPACE[THEIR_NAMES[op]]
    found = magnitudes(MAGNITUDES, SIZE, SIZE)
    return ([0.0] * MAGNITUDES if found is None else found.tolist()), signed


def theirs(op: Op, magnitude: float, image: torch.Tensor) -> torch.Tensor:
    transform = v2.TrivialAugmentWide(interpolation=InterpolationMode.BILINEAR)
    name = THEIR_NAMES[op]
    changed: torch.Tensor = transform._apply_image_or_video_transform(
        image, name, magnitude, transform.interpolation, transform._fill
    )
    return changed


@pytest.mark.parametrize("kind", [v2.TrivialAugmentWide, v2.RandAugment])
@pytest.mark.parametrize("op", Op)
def test_an_operation_is_torchvisions(kind, op):
    """Within one level of 255, at every magnitude, each image at another one of them."""
    magnitudes, signed = their_space(kind, op)
    assert signed == (op in SIGNED)
    if signed:
        magnitudes += [-magnitude for magnitude in magnitudes]
    n = len(magnitudes)
    for first in range(0, n, 3):
        values = torch.tensor([magnitudes[(first + 5 * row) % n] for row in range(len(IMAGES))])
        ops = torch.full((len(IMAGES), 1), int(op))
        found = augment(IMAGES, Augmentations(ops, values[:, None]))
        assert found.dtype == torch.uint8
        for row, value in enumerate(values.tolist()):
            expected = theirs(op, value, IMAGES[row])
            difference = (found[row].int() - expected.int()).abs()
            assert difference.max() <= 1, (op, value, row)
            # torchvision cuts off fractions: a whole number may come out as the one below it.
            assert op in CUT_OFF or (difference > 0).float().mean() < 0.02, (op, value, row)


@pytest.mark.parametrize("op", [Op.POSTERIZE, Op.SOLARIZE, Op.EQUALIZE, Op.IDENTITY])
def test_operations_on_whole_numbers_are_exact(op):
    for magnitude in their_space(v2.TrivialAugmentWide, op)[0][::5]:
        one = torch.full((len(IMAGES), 1), magnitude)
        found = augment(IMAGES, Augmentations(torch.full_like(one, int(op)).long(), one))
        for row, image in enumerate(IMAGES):
            assert torch.equal(found[row], theirs(op, magnitude, image))


def test_each_image_of_a_batch_gets_its_own():
    """A batch of all operations is each image alone; the input stays as it is."""
    images = some_images(len(Op) * 2)
    before = images.clone()
    draws = draw_augmentations(len(images), recipe(augment="trivial"), 3)
    draws = Augmentations(torch.arange(len(images))[:, None] % len(Op), draws.magnitudes)
    found = augment(images, draws)
    for row in range(len(images)):
        alone = augment(images[row : row + 1], draws.rows(slice(row, row + 1)))
        torch.testing.assert_close(found[row : row + 1].int(), alone.int(), atol=1, rtol=0)
    assert torch.equal(images, before)


def test_operations_follow_one_another():
    draws = draw_augmentations(len(IMAGES), recipe(augment="rand", augment_ops=3), 0)
    found = augment(IMAGES, draws)
    step = IMAGES
    for n in range(3):
        one = slice(n, n + 1)
        step = augment(step, Augmentations(draws.ops[:, one], draws.magnitudes[:, one]))
    assert torch.equal(found, step)


def test_fractions_are_rounded_first():
    found = augment(
        torch.full((1, 3, 16, 16), 99.6),
        Augmentations(torch.tensor([[int(Op.IDENTITY)]]), torch.zeros(1, 1)),
    )
    assert (found == 100).all()


def test_none_changes_nothing():
    draws = draw_augmentations(len(IMAGES), recipe(), 0)
    pixels = IMAGES + 0.3
    assert augment(pixels, draws) is pixels


class TestDraws:
    N = 50_000

    def test_trivial_draws_all_alike(self):
        draws = draw_augmentations(self.N, recipe(augment="trivial"), 0)
        assert draws.ops.shape == (self.N, 1)
        ops, magnitudes = draws.ops[:, 0], draws.magnitudes[:, 0]
        assert evenly(ops, len(Op))
        for op in Op:
            space, signed = their_space(v2.TrivialAugmentWide, op)
            mine = magnitudes[ops == op]
            assert set(mine.abs().tolist()) == {abs(m) for m in space}
            if signed:
                bins = torch.isclose(mine.abs()[:, None], torch.tensor(space)).int().argmax(1)
                assert evenly(bins, MAGNITUDES)
                assert evenly((mine[mine != 0] < 0).long(), 2)

    def test_rand_draws_operations_at_one_magnitude(self):
        spec = recipe(augment="rand", augment_ops=2, augment_magnitude=12)
        draws = draw_augmentations(self.N, spec, 0)
        assert draws.ops.shape == (self.N, 2)
        assert evenly(draws.ops[:, 0] * len(Op) + draws.ops[:, 1], len(Op) ** 2)
        for op in Op:
            space, signed = their_space(v2.RandAugment, op)
            mine = draws.magnitudes[draws.ops == op]
            wanted = {space[12], -space[12]} if signed else {space[12]}
            assert set(mine.tolist()) == wanted
            if signed:
                assert evenly((mine < 0).long(), 2)

    def test_seed_and_epoch_decide(self):
        def drawn(seed: int, epoch: int) -> list[float]:
            spec = recipe(augment="trivial", seed=seed)
            draws = draw_augmentations(50, spec, epoch)
            return [*draws.ops[:, 0].tolist(), *draws.magnitudes[:, 0].tolist()]

        before = torch.get_rng_state()
        assert drawn(0, 3) == drawn(0, 3)
        assert drawn(0, 3) != drawn(0, 4)
        assert drawn(0, 3) != drawn(1, 3)
        assert torch.equal(torch.get_rng_state(), before)


def evenly(values: torch.Tensor, n: int) -> bool:
    """Whether 0 to n - 1 come equally often, by a chi-squared test."""
    return bool(stats.chisquare(torch.bincount(values, minlength=n).numpy()).pvalue > 1e-4)


@pytest.mark.gpu
def test_a_gpu_augments_the_same():
    images = some_images(600)
    draws = draw_augmentations(len(images), recipe(augment="trivial"), 0)
    on_cpu, on_gpu = augment(images, draws), augment(images.cuda(), draws)
    difference = (on_cpu.int() - on_gpu.cpu().int()).abs()
    assert difference.max() <= 1
    assert (difference > 0).float().mean() < 0.01
