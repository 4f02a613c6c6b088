"""Weights of training images: by hand, in batches, and in trainings to the last bit."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image

from tests.parity.trainings import (
    PLAIN_NETWORK,
    RECIPE,
    Run,
    assert_resumes_from_step,
    assert_same_training,
)
from tlsearch.data import (
    DeviceImages,
    load_catalog,
    load_training_data,
    mixed_batches,
    train_batches,
    write_clean_manifest,
)
from tlsearch.errors import DataError
from tlsearch.finetune import FineTuneData
from tlsearch.finetune.losses import Loss
from tlsearch.spec import DataSpec

SMALL = RECIPE.model_copy(update={"epochs": 2, "batch_size": 8, "crop_scale": RECIPE.crop_scale})
MEAN, STD = (0.5,) * 3, (0.25,) * 3


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp("weights")
    for k in range(40):
        pixels = np.random.default_rng(k).integers(0, 256, (32, 32, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(root / f"{k}.png")
    return root


@pytest.fixture(autouse=True)
def _home(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home"))


def spec_of(folder, weights, name="all.csv"):
    """A manifest of 40 images; every fifth is for validation."""
    lines = ["path,label,split,counts"]
    for k, weight in enumerate(weights):
        lines.append(f"{k}.png,{'ab'[k % 2]},{'train' if k % 5 else 'val'},{weight}")
    (folder / name).write_text("\n".join(lines))
    return DataSpec.model_validate({"path": str(folder / name), "columns": {"weight": "counts"}})


def data_of(spec):
    images = load_training_data(load_catalog(spec), 32, 1.0)
    return FineTuneData.on_device(images, torch.device("cpu"))


VARIED = [1 + k % 3 for k in range(40)]


def test_batches_have_the_weights_of_their_images(folder):
    catalog = load_catalog(spec_of(folder, VARIED))
    weights = torch.tensor([ref.weight for ref in catalog.train])
    images = data_of(spec_of(folder, VARIED)).train
    plain = images.labels
    images.labels = torch.arange(len(plain))  # so that a batch says which images it has
    orders = [labels for _, labels in train_batches(images, SMALL, MEAN, STD, 1)]
    images.labels = plain
    for order, (_, rows) in zip(orders, train_batches(images, SMALL, MEAN, STD, 1, 2), strict=True):
        assert torch.equal(rows.argmax(1), plain[order])
        torch.testing.assert_close(rows.sum(1), weights[order] / weights.mean())
    recipe = SMALL.model_copy(update={"mixup": 0.5})
    batches = train_batches(images, recipe, MEAN, STD, 1, 2)
    for _, rows in mixed_batches(batches, recipe, 2, 1):
        assert (rows.sum(1) > 0.4).all()
        assert rows.sum(1).max() < 1.6


@pytest.mark.parametrize("class_weights", [None, torch.tensor([0.5, 1.5])])
@pytest.mark.parametrize("gamma", [None, 2.0])
def test_the_loss_is_the_weighted_mean(gamma, class_weights):
    generator = torch.Generator().manual_seed(3)
    outputs = torch.randn(16, 2, generator=generator)
    labels = torch.randint(0, 2, (16,), generator=generator)
    weights = torch.rand(16, generator=generator) + 0.1
    found = Loss(0.1, gamma, class_weights, weighted=True)(
        outputs, F.one_hot(labels, 2).float() * weights[:, None]
    )
    alone = Loss(0.1, gamma, class_weights)
    each = [alone(outputs[k : k + 1], labels[k : k + 1]) for k in range(16)]
    torch.testing.assert_close(found, (torch.stack(each) * weights).mean())


def test_equal_weights_are_none_and_others_train_another_model(folder):
    none = data_of(spec_of(folder, VARIED).model_copy(update={"columns": _without_weight()}))
    equal, varied = data_of(spec_of(folder, [2.5] * 40)), data_of(spec_of(folder, VARIED))
    assert equal.train.weights is None
    runs = [Run(data, PLAIN_NETWORK, SMALL) for data in (none, equal, varied)]
    assert_same_training(runs[1], runs[0])
    assert runs[2].figures != runs[0].figures
    assert_resumes_from_step(varied, runs[2], 3, SMALL)
    scaled = data_of(spec_of(folder, [4 * weight for weight in VARIED], "scaled.csv"))
    assert_same_training(Run(scaled, PLAIN_NETWORK, SMALL), runs[2])
    joined = varied.with_val()
    assert joined.train.weights is not None
    assert len(joined.train.weights) == 40


def _without_weight():
    return DataSpec(path="x").columns


def test_weights_are_part_of_the_images(folder, tmp_path):
    catalogs = [load_catalog(spec_of(folder, weights)) for weights in (VARIED, [1] * 40, [3] * 40)]
    assert catalogs[1].fingerprint == catalogs[2].fingerprint
    assert catalogs[0].fingerprint != catalogs[1].fingerprint
    write_clean_manifest(spec_of(folder, VARIED), tmp_path / "clean.csv", drop_duplicates=False)
    again = DataSpec.model_validate(
        {"path": str(tmp_path / "clean.csv"), "columns": {"weight": "weight"}}
    )
    assert [ref.weight for ref in load_catalog(again).train] == [
        ref.weight for ref in catalogs[0].train
    ]
    for odd in ("", "heavy", "0", "-1", "nan", "inf", "1e9"):
        with pytest.raises(DataError, match=r"has '.*' \(line 4\); write a number from 1e-06 to"):
            load_catalog(spec_of(folder, [1, 1, odd, *[1] * 37]))


def test_images_on_a_device_keep_their_weights(folder):
    images = load_training_data(load_catalog(spec_of(folder, VARIED)), 32, 1.0).train
    moved = DeviceImages(images, "cpu").to("meta")
    assert moved.weights is not None
    assert moved.weights.device.type == "meta"
