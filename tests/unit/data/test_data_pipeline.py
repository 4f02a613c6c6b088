"""Batches, against torch's interpolation and torchvision's crops."""

import math

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from tlsearch.data import DeviceImages, ImageSet, train_batches, val_batches
from tlsearch.data.augment import augment, draw_augmentations
from tlsearch.data.crops import Draws, draw_epoch, resampled_crops
from tlsearch.data.erasing import draw_erasures, erase
from tlsearch.data.imageset import Canvases, canvas_shapes, places_of
from tlsearch.errors import DataError
from tlsearch.records import Range
from tlsearch.spec import RecipeSpec

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
RNG = np.random.default_rng(2)


def image_set(sizes: list[tuple[int, int]], padding: int = 0) -> ImageSet:
    """Random images on the canvases they belong on; `padding` fills those beyond them."""
    shape = np.array(sizes, dtype=np.int32)
    places = places_of(shape)
    canvases = [np.full(each, padding, dtype=np.uint8) for each in canvas_shapes(places, shape)]
    for (canvas, row), (height, width) in zip(places, sizes, strict=True):
        canvases[canvas][row, :height, :width] = RNG.integers(0, 256, (height, width, 3))
    return ImageSet(Canvases(canvases), places, shape, np.arange(len(sizes)))


def on_one_canvas(images: ImageSet) -> ImageSet:
    """The same images as they were before version 0.3."""
    n = len(images)
    canvas = np.zeros((n, *images.sizes.max(0), 3), dtype=np.uint8)
    for index, (height, width) in enumerate(images.sizes):
        canvas[index, :height, :width] = images.image(index)
    places = np.stack([np.zeros(n, np.int32), np.arange(n, dtype=np.int32)], axis=1)
    return ImageSet(Canvases([canvas]), places, images.sizes, images.labels)


def recipe(**keys: object) -> RecipeSpec:
    return RecipeSpec.model_validate({"image_size": 16, "batch_size": 4, **keys})


def normalised(pixels: np.ndarray) -> torch.Tensor:
    """(h, w, 3) bytes to (3, h, w), the long way."""
    values = (pixels.astype(np.float64) / 255 - np.array(MEAN)) / np.array(STD)
    return torch.from_numpy(values.transpose(2, 0, 1)).float()


def epoch_of(
    images: ImageSet, spec: RecipeSpec, epoch: int = 0
) -> list[tuple[torch.Tensor, torch.Tensor]]:
    return list(train_batches(DeviceImages(images, "cpu"), spec, MEAN, STD, epoch))


def centre(pixels: np.ndarray, side: int) -> np.ndarray:
    top, left = (round((length - side) / 2) for length in pixels.shape[:2])
    return pixels[top : top + side, left : left + side]


SIZES = [(20, 20), (20, 33), (40, 20), (21, 20), (20, 27), (33, 20), (20, 20)]


@pytest.mark.parametrize("copied", [False, True])
def test_device_images_keep_bytes(copied):
    images = image_set(SIZES)
    found = DeviceImages(images, "cpu", on_device=copied)
    assert len(found.pixels) == len(images.pixels) > 3
    for one, other in zip(found.pixels, images.pixels, strict=True):
        if copied:
            assert isinstance(one, torch.Tensor)
            assert one.dtype == torch.uint8
            assert np.array_equal(one.permute(0, 2, 3, 1).numpy(), other)
        else:
            assert one is other, "a CPU has no copy of its own"
    for index in range(7):
        assert np.array_equal(found.image(index), images.image(index))
    assert found.labels.tolist() == list(range(7))
    assert len(found) == 7
    assert found.device == torch.device("cpu")


def test_val_batches_are_exact_centre_crops_in_order():
    images = image_set(SIZES, padding=255)
    batches = list(val_batches(DeviceImages(images, "cpu"), recipe(), MEAN, STD, 3))
    assert [len(labels) for _, labels in batches] == [3, 3, 1]
    assert torch.cat([labels for _, labels in batches]).tolist() == list(range(7))
    found = torch.cat([pixels for pixels, _ in batches])
    for index in range(len(SIZES)):
        expected = normalised(centre(images.image(index), 16))
        torch.testing.assert_close(found[index], expected, atol=2e-6, rtol=0)


@pytest.mark.parametrize("scale", [Range(1, 1), Range(0.35, 1)])
def test_batches_are_float32_channels_last(scale):
    batches = epoch_of(image_set(SIZES), recipe(crop_scale=scale))
    batches += list(val_batches(DeviceImages(image_set(SIZES), "cpu"), recipe(), MEAN, STD, 4))
    for pixels, labels in batches:
        assert pixels.dtype == torch.float32
        assert pixels.shape[1:] == (3, 16, 16)
        assert pixels.is_contiguous(memory_format=torch.channels_last)
        assert labels.dtype == torch.int64


def test_without_a_crop_training_sees_what_validation_sees():
    images = image_set(SIZES)
    spec = recipe(crop_scale=Range(1, 1), batch_size=7, horizontal_flip=False)
    ((pixels, labels),) = epoch_of(images, spec)
    ((expected, _),) = val_batches(DeviceImages(images, "cpu"), spec, MEAN, STD, 7)
    assert torch.equal(pixels, expected[labels])


@pytest.mark.parametrize("scale", [Range(1, 1), Range(0.999999, 1)])
def test_flips_mirror_half_of_the_images(scale):
    n = 400
    images = image_set([(16, 16)] * n)
    spec = recipe(crop_scale=scale, crop_ratio=Range(1, 1), batch_size=n)
    ((pixels, labels),) = epoch_of(images, spec)
    plain = torch.stack([normalised(image) for image in images.pixels[0]])[labels]
    mirrored = plain.flip(3)
    same = (pixels - plain).abs().amax((1, 2, 3)) < 1e-4
    flipped = (pixels - mirrored).abs().amax((1, 2, 3)) < 1e-4
    assert torch.equal(same, ~flipped)
    assert abs(int(flipped.sum()) - n / 2) < 4 * math.sqrt(n) / 2


def test_a_crop_of_the_whole_image_reproduces_it():
    images = image_set([(64, 64)] * 4)
    spec = recipe(image_size=64, crop_scale=Range(0.9999, 1), horizontal_flip=False)
    spec = spec.model_copy(update={"crop_ratio": Range(1, 1)})
    ((pixels, labels),) = epoch_of(images, spec)
    expected = torch.stack([normalised(images.image(label)) for label in labels.tolist()])
    torch.testing.assert_close(pixels, expected, atol=1e-4, rtol=0)


@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize(
    "box",
    [(0, 0, 20, 33), (3, 7, 11, 5), (0, 0, 1, 1), (19, 32, 1, 1), (5, 0, 15, 33), (2, 1, 16, 16)],
)
def test_crops_equal_cropping_and_interpolating(box, flip):
    images = image_set([(20, 33), (20, 34), (21, 33)], padding=255)
    (canvas,) = DeviceImages(images, "cpu", on_device=True).pixels
    assert isinstance(canvas, torch.Tensor)
    top, left, height, width = box
    draws = Draws(torch.tensor([0]), torch.tensor([box]), torch.tensor([flip]))
    crop = canvas[:1, :, top : top + height, left : left + width].float()
    expected = F.interpolate(crop, size=(16, 16), mode="bilinear", align_corners=False)
    expected = expected.flip(3) if flip else expected
    found = resampled_crops(canvas, draws, 16)
    torch.testing.assert_close(found, expected, atol=5e-3, rtol=0)


def test_batches_are_the_boxes_that_were_drawn():
    images = image_set(SIZES)
    on_device = DeviceImages(images, "cpu")
    spec = recipe(batch_size=7)
    draws = draw_epoch(on_device.sizes, spec, 5)
    ((pixels, labels),) = epoch_of(images, spec, epoch=5)
    assert labels.tolist() == draws.order.tolist()
    for row, (top, left, height, width) in enumerate(draws.boxes.tolist()):
        image = images.image(int(labels[row]))[top : top + height, left : left + width]
        crop = normalised(image)[None]
        expected = F.interpolate(crop, size=(16, 16), mode="bilinear", align_corners=False)
        expected = expected.flip(3) if draws.flips[row] else expected
        torch.testing.assert_close(pixels[row : row + 1], expected, atol=1e-4, rtol=0)


def test_nothing_beyond_an_image_is_ever_seen():
    sizes = [(20, 20), (20, 40), (40, 20), (20, 31)] * 20
    images = image_set(sizes, padding=255)
    for index in range(len(sizes)):
        images.image(index)[:] = 0
    for scale in (Range(0.05, 1), Range(0.9, 1), Range(1, 1)):
        for epoch in range(5):
            for pixels, _ in epoch_of(images, recipe(crop_scale=scale), epoch):
                black = normalised(np.zeros((16, 16, 3), dtype=np.uint8))
                torch.testing.assert_close(pixels, black.expand_as(pixels), atol=1e-5, rtol=0)


def test_every_image_comes_once_and_the_rest_is_dropped():
    images = image_set([(20, 20)] * 11)
    batches = epoch_of(images, recipe(batch_size=4))
    assert [len(labels) for _, labels in batches] == [4, 4]
    assert len(set(torch.cat([labels for _, labels in batches]).tolist())) == 8
    assert [len(labels) for _, labels in epoch_of(images, recipe(batch_size=32))] == [11]
    assert [len(labels) for _, labels in epoch_of(images, recipe(batch_size=11))] == [11]


def test_seed_and_epoch_decide():
    images = image_set([(20, 20)] * 32)

    def first(seed: int, epoch: int) -> torch.Tensor:
        return epoch_of(images, recipe(seed=seed, batch_size=32), epoch)[0][0]

    assert torch.equal(first(0, 3), first(0, 3))
    different = [first(0, 0), first(0, 1), first(1, 0), first(2**31 - 1, 0), first(0, 2**32)]
    for index, one in enumerate(different):
        assert not any(torch.equal(one, other) for other in different[:index])


def test_draws_leave_the_global_generator_alone():
    before = torch.get_rng_state()
    epoch_of(image_set(SIZES), recipe())
    assert torch.equal(torch.get_rng_state(), before)


def test_images_smaller_than_asked_are_refused():
    images = DeviceImages(image_set([(20, 20)] * 4), "cpu")
    sentence = "the images were decoded to 20 pixels but recipe.image_size is 32"
    with pytest.raises(DataError, match=sentence):
        next(train_batches(images, recipe(image_size=32), MEAN, STD, 0))
    with pytest.raises(DataError, match=sentence):
        next(val_batches(images, recipe(image_size=32), MEAN, STD, 4))


@pytest.mark.parametrize("scale", [Range(0.35, 1), Range(1, 1)])
def test_one_canvas_or_many_give_the_same_batches(scale):
    images = image_set(SIZES * 9)
    assert len(images.pixels) > 3
    spec = recipe(crop_scale=scale)
    alone = epoch_of(on_one_canvas(images), spec, 4)
    for (one, labels), (other, others) in zip(epoch_of(images, spec, 4), alone, strict=True):
        assert labels.tolist() == others.tolist()
        torch.testing.assert_close(one, other, atol=1e-4 if scale.low < 1 else 0, rtol=0)


@pytest.mark.parametrize("scale", [Range(1, 1), Range(0.35, 1)])
@pytest.mark.parametrize("sizes", [SIZES, [(20, 20)] * 7])
def test_where_the_pixels_lie_changes_no_bit(sizes, scale):
    images, spec = image_set(sizes), recipe(batch_size=3, crop_scale=scale)
    mapped, copied = (DeviceImages(images, "cpu", on_device=there) for there in (False, True))
    mixed = mapped.joined(copied)
    for batches in (
        [list(train_batches(each, spec, MEAN, STD, 2)) for each in (mapped, copied)],
        [list(val_batches(each, spec, MEAN, STD, 4)) for each in (mapped, copied)],
    ):
        for (one, labels), (other, others) in zip(*batches, strict=True):
            assert torch.equal(one, other)
            assert one.stride() == other.stride()
            assert torch.equal(labels, others)
    whole = [pixels for pixels, _ in val_batches(mixed, spec, MEAN, STD, 14)]
    assert torch.equal(whole[0][:7], whole[0][7:])


@pytest.mark.gpu
@pytest.mark.parametrize("there", [False, True])
def test_a_gpu_sees_the_same_crops(there):
    images = image_set(SIZES)
    on_cpu = epoch_of(images, recipe())
    on_gpu = train_batches(DeviceImages(images, "cuda", on_device=there), recipe(), MEAN, STD, 0)
    for (one, labels), (other, others) in zip(on_cpu, on_gpu, strict=True):
        torch.testing.assert_close(one, other.cpu(), atol=1e-3, rtol=0)
        assert labels.tolist() == others.tolist()


@pytest.mark.parametrize("scale", [Range(1, 1), Range(0.35, 1)])
def test_augmented_batches_are_the_plain_ones_augmented_and_erased(scale):
    """Other draws stay as they are, and a second batch has draws of its own."""
    images = image_set(SIZES)
    keys = {"crop_scale": scale, "batch_size": 3}
    spec = recipe(augment="rand", augment_ops=2, erasing=0.5, **keys)
    operations, boxes = draw_augmentations(7, spec, 0), draw_erasures(7, spec, 0)
    plain, found = epoch_of(images, recipe(**keys)), epoch_of(images, spec)
    scales = torch.tensor(STD).view(1, 3, 1, 1), torch.tensor(MEAN).view(1, 3, 1, 1)
    for number, ((before, labels), (after, others)) in enumerate(zip(plain, found, strict=True)):
        rows = slice(3 * number, 3 * number + 3)
        levels = (before * scales[0] + scales[1]) * 255
        changed = augment(levels, operations.rows(rows))
        expected = erase((changed / 255 - scales[1]) / scales[0], boxes[rows])
        same = ((after - expected).abs() < 1e-4).float().mean()
        assert same > 0.99  # a crop's fraction of a half may round the other way here
        assert torch.equal(labels, others)
        assert after.is_contiguous(memory_format=torch.channels_last)
    assert len(found) == 2


def test_joined_images_give_the_batches_of_one_set() -> None:
    """Behind others, with canvases of their own, images are those that they were."""
    images = image_set([(20, 24), (64, 20), (20, 24), (18, 70), (16, 16), (40, 17)])
    spec = recipe(batch_size=3, crop_scale=[0.5, 1.0])
    first, second = (
        ImageSet(images.pixels, images.places[part], images.sizes[part], images.labels[part])
        for part in (slice(0, 2), slice(2, 6))
    )
    joined = DeviceImages(first, "cpu").joined(DeviceImages(second, "cpu"))
    assert len(joined) == 6
    for whole, parts in (
        (epoch_of(images, spec), list(train_batches(joined, spec, MEAN, STD, 0))),
        (
            list(val_batches(DeviceImages(images, "cpu"), spec, MEAN, STD, 4)),
            list(val_batches(joined, spec, MEAN, STD, 4)),
        ),
    ):
        assert len(whole) == len(parts) == 2
        for (pixels, labels), (other, others) in zip(whole, parts, strict=True):
            assert torch.equal(pixels, other)
            assert torch.equal(labels, others)
