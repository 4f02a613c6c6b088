"""10-crops, ensembles and averages of weights, against plain NumPy."""

import numpy as np
import pytest
import torch
from scipy.special import softmax

from tests.parity.conftest import stand_in
from tests.parity.trainings import KNOBS, PLAIN_NETWORK, Run
from tlsearch.backbones import Backbone
from tlsearch.data import CENTRE, DeviceImages, View, evaluation_batches, ten_crop
from tlsearch.data.imageset import packed
from tlsearch.evaluation import ensemble, greedy_soup, predict, recalibrated, uniform_soup
from tlsearch.finetune import FineTuneData, initial_model
from tlsearch.finetune.batch_norm import batch_norms
from tlsearch.finetune.evaluate import evaluate
from tlsearch.spec import RecipeSpec

SHAPES = [(40, 40), (40, 61), (75, 40), (40, 40), (40, 52)]
SIZE = 32
RECIPE = RecipeSpec(image_size=SIZE, epochs=2, warmup_epochs=0, eval_crop=0.8)


@pytest.fixture(scope="module")
def pixels() -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return [rng.integers(256, size=(*shape, 3), dtype=np.uint8) for shape in SHAPES]


@pytest.fixture(scope="module")
def images(pixels) -> DeviceImages:
    return DeviceImages(packed(list(pixels), [0, 1, 2, 0, 1]), "cpu")


@pytest.fixture(scope="module")
def backbone() -> Backbone:
    return stand_in(PLAIN_NETWORK, SIZE)


@pytest.fixture(scope="module")
def model(backbone) -> torch.nn.Module:
    found = initial_model(backbone, 3, 1, seed=1).to(memory_format=torch.channels_last)
    return found.eval()


def plain_crops(image: np.ndarray, size: int) -> list[np.ndarray]:
    """The ten crops of Krizhevsky et al., by slices."""
    height, width, _ = image.shape
    top, left = round((height - size) / 2), round((width - size) / 2)
    five = [
        image[top : top + size, left : left + size],
        image[:size, :size],
        image[:size, width - size :],
        image[height - size :, :size],
        image[height - size :, width - size :],
    ]
    return five + [crop[:, ::-1] for crop in five]


def normalised(crop: np.ndarray, backbone: Backbone) -> np.ndarray:
    mean, std = (np.array(v) for v in (backbone.statistics.mean, backbone.statistics.std))
    found: np.ndarray = ((crop / 255.0 - mean) / std).transpose(2, 0, 1)
    return found


def test_crops_are_those_of_plain_slices(images, pixels, backbone):
    views = ten_crop(images.sizes, SIZE, mirror=True)
    assert len(views) == 10
    mean, std = backbone.statistics.mean, backbone.statistics.std
    order = [torch.arange(len(images))]
    for k, view in enumerate(views):
        ((batch, labels),) = evaluation_batches(images, RECIPE, mean, std, order, view)
        expected = [normalised(plain_crops(image, SIZE)[k], backbone) for image in pixels]
        np.testing.assert_allclose(batch.numpy(), np.stack(expected), atol=2e-6)
        assert labels.tolist() == [0, 1, 2, 0, 1]


def test_the_first_crop_is_the_evaluation_crop_to_the_last_bit(images, backbone):
    mean, std = backbone.statistics.mean, backbone.statistics.std
    order = [torch.arange(len(images))]
    first = ten_crop(images.sizes, SIZE, mirror=True)[0]
    assert first == CENTRE
    ((ours, _),) = evaluation_batches(images, RECIPE, mean, std, order, first)
    ((plain, _),) = evaluation_batches(images, RECIPE, mean, std, order)
    assert torch.equal(ours, plain)


def test_five_crops_of_torchvision_are_the_same(images, pixels):
    functional = pytest.importorskip("torchvision.transforms.functional")
    for image, size in zip(pixels, images.sizes.tolist(), strict=True):
        *corners, centre = functional.five_crop(torch.from_numpy(image).permute(2, 0, 1), SIZE)
        views = ten_crop(images.sizes, SIZE, mirror=False)
        for corner, view in zip([centre, *corners], views, strict=True):
            top, left, height, width = view.boxes(torch.tensor([size]), SIZE)[0].tolist()
            ours = image[top : top + height, left : left + width]
            assert np.array_equal(ours, corner.permute(1, 2, 0).numpy())


def test_without_mirror_images_there_are_five(images):
    views = ten_crop(images.sizes, SIZE, mirror=False)
    assert len(views) == 5
    assert not any(view.mirrored for view in views)


def test_without_a_border_all_places_are_one():
    sizes = torch.tensor([[32, 32], [32, 32]])
    assert ten_crop(sizes, 32, mirror=True) == (CENTRE, View(mirrored=True))
    assert ten_crop(sizes, 32, mirror=False) == (CENTRE,)
    panorama = torch.tensor([[32, 32], [32, 40]])
    assert len(ten_crop(panorama, 32, mirror=True)) == 10


def test_predictions_are_those_of_plain_numpy(images, pixels, backbone, model):
    found = predict(
        model, images, RECIPE, backbone.statistics, ten_crop(images.sizes, SIZE, mirror=True)
    )
    for i, image in enumerate(pixels):
        crops = np.stack([normalised(crop, backbone) for crop in plain_crops(image, SIZE)])
        batch = torch.from_numpy(crops.astype(np.float32))
        with torch.no_grad():
            shares = softmax(model(batch).double().numpy(), axis=1)
        np.testing.assert_allclose(found.single[i], shares[0], atol=1e-5)
        np.testing.assert_allclose(found.several[i], shares.mean(axis=0), atol=1e-5)
    assert found.passes == 10
    assert 0 < found.seconds_single < found.seconds_several


def test_one_crop_predicts_as_validation_does(images, backbone, model):
    found = predict(model, images, RECIPE, backbone.statistics)
    validation = evaluate(model, images, RECIPE, backbone.statistics)
    assert found.single.argmax(1).tolist() == list(validation.predictions)
    np.testing.assert_allclose(found.single, validation.probabilities.numpy(), atol=1e-6)
    assert np.array_equal(found.single, found.several)
    assert found.passes == 1


def test_the_evaluation_size_is_that_of_the_crops(images, backbone, model):
    recipe = RECIPE.model_copy(update={"image_size": 16, "eval_size": SIZE})
    views = ten_crop(images.sizes, SIZE, mirror=True)
    found = predict(model, images, recipe, backbone.statistics, views)
    expected = predict(model, images, RECIPE, backbone.statistics, views)
    np.testing.assert_array_equal(found.several, expected.several)


@pytest.fixture(scope="module")
def runs() -> list[dict[str, torch.Tensor]]:
    """The weights of three seeds."""
    small = DeviceImages(
        packed(
            [
                np.random.default_rng(i).integers(256, size=(SIZE, SIZE, 3), dtype=np.uint8)
                for i in range(24)
            ],
            [i % 3 for i in range(24)],
        ),
        "cpu",
    )
    data = FineTuneData(small, small, 3)
    recipe = RecipeSpec(image_size=SIZE, epochs=1, batch_size=8, warmup_epochs=0, eval_crop=1.0)
    seeds = [recipe.model_copy(update={"seed": seed}) for seed in range(3)]
    return [Run(data, PLAIN_NETWORK, each, KNOBS).weights for each in seeds]


def test_a_uniform_soup_is_the_mean_of_all_weights(runs):
    soup = uniform_soup(runs)
    assert soup.members == (0, 1, 2)
    for name, tensor in soup.state.items():
        each = [run[name].numpy() for run in runs]
        assert tensor.dtype == runs[0][name].dtype
        if tensor.is_floating_point():
            mean = np.mean([v.astype(np.float64) for v in each], axis=0)
            np.testing.assert_allclose(tensor.numpy(), mean, rtol=1e-6)
        else:
            assert np.array_equal(tensor.numpy(), each[0])


def plain_greedy(vectors, accuracies, accuracy_of):
    """Recipe 1 of Wortsman et al."""
    order = sorted(range(len(vectors)), key=lambda i: accuracies[i], reverse=True)
    ingredients: list[int] = []
    best = -np.inf
    for i in order:
        now = accuracy_of(np.mean([vectors[k] for k in [*ingredients, i]], axis=0))
        if now >= best:
            ingredients, best = [*ingredients, i], now
    return ingredients


@pytest.mark.parametrize("seed", range(6))
def test_a_greedy_soup_takes_what_does_not_harm(seed):
    rng = np.random.default_rng(seed)
    vectors = rng.normal(size=(5, 4)).astype(np.float32)

    def of(vector):
        return round(float(-np.abs(vector - 0.2).sum()), 1)  # ties happen

    accuracies = [of(vector) for vector in vectors]
    states = [{"w": torch.from_numpy(vector)} for vector in vectors]
    found = greedy_soup(states, accuracies, lambda state: of(state["w"].numpy()))
    expected = plain_greedy(vectors, accuracies, of)
    assert list(found.members) == expected
    mean = np.mean(vectors[expected], axis=0)
    np.testing.assert_allclose(found.state["w"].numpy(), mean, rtol=1e-6)
    assert of(found.state["w"].numpy()) >= max(accuracies)


def test_batch_norm_of_a_soup_is_that_of_clean_images(runs, backbone):
    clean = DeviceImages(
        packed(
            [np.full((SIZE, SIZE, 3), 10 * i, np.uint8) for i in range(20)],
            [i % 3 for i in range(20)],
        ),
        "cpu",
    )
    model = initial_model(backbone, 3, 1, seed=0)
    model.load_state_dict(uniform_soup(runs).state)
    before = {k: v.clone() for k, v in model.state_dict().items()}
    frozen = RECIPE.model_copy(update={"batch_norm": "frozen"})
    recalibrated(model, clean, frozen, backbone.statistics)
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())
    recalibrated(model, clean, RECIPE.model_copy(update={"eval_crop": 1.0}), backbone.statistics)
    found = backbone.statistics
    mean, std = (torch.tensor(v).view(1, 3, 1, 1) for v in (found.mean, found.std))
    first, layer = next(iter(batch_norms(model).items()))
    seen = []
    hook = layer.register_forward_hook(lambda _, inputs, __: seen.append(inputs[0]))
    batch = torch.tensor(clean.pixels[0]).permute(0, 3, 1, 2).float() / 255
    with torch.no_grad():
        model((batch - mean) / std)
    hook.remove()
    expected = seen[0].mean(dim=(0, 2, 3))
    torch.testing.assert_close(layer.running_mean, expected, rtol=1e-4, atol=1e-5)
    changed = [k for k, v in model.state_dict().items() if not torch.equal(v, before[k])]
    assert all("running" in name for name in changed)
    assert f"{first}.running_mean" in changed


def test_an_ensemble_of_ten_crops_is_the_mean_of_all(images, backbone, runs):
    views = ten_crop(images.sizes, SIZE, mirror=True)
    found = []
    for state in runs:
        model = initial_model(backbone, 3, 1, seed=0)
        model.load_state_dict(state)
        found.append(predict(model, images, RECIPE, backbone.statistics, views).several)
    together = ensemble(found)
    np.testing.assert_allclose(together, sum(found) / 3, rtol=1e-12)
    np.testing.assert_allclose(together.sum(axis=1), 1, rtol=1e-9)
