"""Losses, weights of classes and balanced sampling against plain NumPy, and in trainings."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from tests.parity.conftest import stand_in
from tests.parity.trainings import (
    KNOBS,
    PLAIN_NETWORK,
    RECIPE,
    Run,
    assert_resumes_from_epoch,
    assert_resumes_from_step,
)
from tlsearch.data import load_catalog, load_training_data
from tlsearch.data.balance import balanced_order
from tlsearch.data.crops import draw_epoch, seed_from
from tlsearch.errors import SpecError
from tlsearch.finetune import FineTuneData
from tlsearch.finetune.losses import (
    Loss,
    build_loss,
    effective_weights,
    inverse_weights,
    scaled_to_images,
)
from tlsearch.finetune.training import Training
from tlsearch.spec import DataSpec, parse_spec

COUNTS = torch.tensor([100, 10, 0, 1])
LABELS = torch.repeat_interleave(torch.arange(4), COUNTS)


def outputs_and_labels() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    outputs = 2 * torch.randn(32, 4, generator=generator)
    labels = torch.tensor([0, 1, 3])[torch.randint(0, 3, (32,), generator=generator)]
    return outputs, labels, torch.rand(32, 4, generator=generator).softmax(1)


def by_numpy(outputs, shares, gamma, smoothing, weights) -> float:
    """One image after the other, class after class."""
    total = 0.0
    for row, own in zip(outputs.numpy().astype(float), shares.numpy().astype(float), strict=True):
        p = np.exp(row) / np.exp(row).sum()
        smoothed = own * (1 - smoothing) + smoothing / len(own)
        loss = -sum(y * (1 - q) ** gamma * np.log(q) for y, q in zip(smoothed, p, strict=True))
        total += loss * sum(w * y for w, y in zip(weights, own, strict=True))
    return total / len(outputs)


@pytest.mark.parametrize("soft", [False, True])
@pytest.mark.parametrize("gamma", [None, 0.0, 0.5, 2.0])
@pytest.mark.parametrize("weights", [None, torch.tensor([0.5, 2.0, 0.0, 3.0])])
def test_losses_are_those_of_numpy(soft, gamma, weights):
    outputs, labels, shares = outputs_and_labels()
    given = shares if soft else labels
    found = Loss(0.1, gamma, weights)(outputs, given)
    shares = shares if soft else F.one_hot(labels, 4)
    plain = weights.tolist() if weights is not None else [1.0] * 4
    assert float(found) == pytest.approx(by_numpy(outputs, shares, gamma or 0.0, 0.1, plain))


def test_the_slope_of_a_focal_loss_is_finite_where_an_image_is_surely_right():
    outputs = torch.tensor([[200.0, 0.0, 0.0]], requires_grad=True)
    Loss(0.0, 0.5)(outputs, torch.tensor([0])).backward()
    assert outputs.grad is not None
    assert torch.isfinite(outputs.grad).all()


def test_weights_of_classes():
    assert inverse_weights(COUNTS).tolist() == [0.01, 0.1, 0.0, 1.0]
    beta = 0.99
    expected = [(1 - beta) / (1 - beta**n) if n else 0.0 for n in COUNTS.tolist()]
    assert effective_weights(COUNTS, beta).tolist() == pytest.approx(expected)
    assert effective_weights(COUNTS, 0.0).tolist() == [1.0, 1.0, 0.0, 1.0]
    for raw in (inverse_weights(COUNTS), effective_weights(COUNTS, beta)):
        weights = scaled_to_images(raw, COUNTS)
        assert float(weights[LABELS].mean()) == pytest.approx(1.0)
    recipe = RECIPE.model_copy(update={"class_weights": "inverse"})
    loss = build_loss(recipe, LABELS, 4)
    assert isinstance(loss, Loss)
    built = loss.weights
    assert built is not None
    assert (built * COUNTS).tolist() == pytest.approx([37.0, 37.0, 0.0, 37.0])


def test_balanced_sampling():
    """Equal shares, every image of a large class before any again, other draws each epoch."""
    drawn = balanced_order(LABELS, torch.Generator().manual_seed(0))
    assert len(drawn) == len(LABELS) == 111
    times = np.bincount(LABELS[drawn], minlength=4)
    assert times.tolist() == [37, 37, 0, 37]
    counts = np.bincount(drawn, minlength=111)
    assert set(counts[:100]) == {0, 1}
    assert set(counts[100:110]) == {3, 4}
    assert counts[110] == 37
    sizes = torch.full((111, 2), 40)
    recipe = RECIPE.model_copy(update={"sampling": "balanced"})
    first, again, second = (draw_epoch(sizes, recipe, e, LABELS) for e in (1, 1, 2))
    assert torch.equal(first.order, again.order)
    assert torch.equal(first.boxes, again.boxes)
    assert not torch.equal(first.order, second.order)
    assert torch.equal(first.flips, draw_epoch(sizes, RECIPE, 1).flips)


@pytest.fixture(scope="module")
def unequal() -> FineTuneData:
    """Real images: 30 of most classes, and 3 of two."""
    catalog = load_catalog(DataSpec(path="builtin:fashion-mnist-30"))
    images = FineTuneData.on_device(load_training_data(catalog, 32, 1.0), torch.device("cpu"))
    kept = torch.ones(len(images.train), dtype=torch.bool)
    for name in (3, 7):
        kept[(images.train.labels == name).nonzero().squeeze(1)[3:]] = False
    train = images.train
    train.labels, train.places, train.sizes = (
        each[kept] for each in (train.labels, train.places, train.sizes)
    )
    train.host_labels = train.labels
    return images


HOWS = (
    {"loss": "focal", "class_weights": "effective"},
    {"sampling": "balanced"},
    {"class_weights": "inverse", "mixup": 0.2},
)


@pytest.mark.parametrize("how", HOWS, ids=["focal", "balanced", "inverse"])
def test_resumption_is_exact(unequal, how):
    recipe = RECIPE.model_copy(update={**how, "epochs": 2})
    whole = Run(unequal, PLAIN_NETWORK, recipe)
    assert_resumes_from_step(unequal, whole, 5, recipe)
    assert_resumes_from_epoch(unequal, whole, 1, recipe)


def test_defaults_train_as_before(unequal):
    """The loss and the order that there were before any of these keys, to the last bit."""
    training = Training.begin(
        stand_in(PLAIN_NETWORK, 32), unequal, RECIPE, KNOBS, torch.device("cpu")
    )
    training.set_training_mode()
    for images, labels in training.batches(1):
        outputs = training.model(images).float()
        expected = F.cross_entropy(outputs, labels, label_smoothing=0.1)
        assert torch.equal(training.loss(outputs, labels), expected)
    sizes, labels = training.data.train.sizes, training.data.train.labels
    generator = torch.Generator().manual_seed(seed_from(RECIPE.seed, 1))
    expected = torch.randperm(len(sizes), generator=generator)
    assert torch.equal(draw_epoch(sizes, RECIPE, 1, labels).order, expected)


@pytest.mark.parametrize(
    ("recipe", "said"),
    [
        (
            {"class_weights": "inverse", "sampling": "balanced"},
            'class_weights = "inverse" and sampling = "balanced" both make up for unequal classes',
        ),
        ({"focal_gamma": 1.0}, 'focal_gamma = 1 is of loss = "focal"'),
        ({"class_weights_beta": 0.9}, 'is of class_weights = "effective"'),
        (
            {"loss": "hinge"},
            "recipe.loss = \"hinge\": must be one of 'cross_entropy', 'focal' or 'bce'",
        ),
        ({"loss": "focal", "focal_gamma": -1.0}, "recipe.focal_gamma = -1"),
        ({"class_weights": "effective", "class_weights_beta": 1.0}, "recipe.class_weights_beta"),
    ],
)
def test_senseless_recipes_are_refused(recipe, said):
    spec = {"name": "a", "data": {"path": "x"}, "backbone": {"model": "resnet18"}}
    with pytest.raises(SpecError) as caught:
        parse_spec({**spec, "recipe": recipe})
    (problem,) = caught.value.problems
    assert said in problem
