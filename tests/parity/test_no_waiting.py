"""Nothing in an epoch waits for the device until all its steps are sent there.

The device is torch's `meta`: what is computed there has a shape and a type and no values, so
whatever would wait for a value of a GPU (`.item()`, `.cpu()`, `if tensor:`) fails. A copy to the
device waits for all that was sent there before, unless it is one that does not block.
"""

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from tests.parity.conftest import stand_in
from tests.parity.trainings import KNOBS, PLAIN_NETWORK, RECIPE, STEPS
from tlsearch.data import DeviceImages, load_catalog, load_training_data
from tlsearch.finetune.losses import Loss
from tlsearch.finetune.training import Training
from tlsearch.spec import DataSpec, RecipeSpec

META = torch.device("meta")
RECIPES: dict[str, dict[str, Any]] = {
    "plain": {},
    "adamw": {"optimizer": "adamw", "momentum": None},
    "everything": {
        "augment": "trivial",
        "erasing": 0.5,
        "mixup": 0.2,
        "cutmix": 1.0,
        "ema_epochs": 1.0,
        "loss": "focal",
        "dropout": 0.2,
        "batch_norm": "frozen",
    },
    "weighted": {"augment": "rand", "class_weights": "effective"},
    "balanced": {"sampling": "balanced", "crop_scale": (1.0, 1.0), "loss": "focal"},
}


class NoBlockingCopy(TorchDispatchMode):
    """Fails on a copy from the host to the device for which the host waits."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if func is torch.ops.aten._to_copy.default:
            self.check(args[0], torch.device(kwargs.get("device") or args[0].device), kwargs)
        if func is torch.ops.aten.copy_.default:
            waits = {"non_blocking": args[2] if len(args) > 2 else kwargs.get("non_blocking")}
            self.check(args[1], args[0].device, waits)
        return func(*args, **kwargs)

    @staticmethod
    def check(source, device, options):
        if source.device.type == "cpu" and device == META:
            assert options.get("non_blocking"), f"a blocking copy of {tuple(source.shape)}"


@pytest.fixture(scope="module")
def images():
    return load_training_data(load_catalog(DataSpec(path="builtin:fashion-mnist-30")), 64, 1.0)


def begun(shipped_images, images, recipe, on_device) -> Training:
    train = DeviceImages(images.train, META, on_device=on_device)
    train.labels = shipped_images.train.labels  # the loss counts them once, before the first step
    data = replace(shipped_images, train=train)
    found = Training.begin(stand_in(PLAIN_NETWORK), data, recipe, KNOBS, META)
    train.labels = train.labels.to(META)
    if isinstance(found.loss, Loss) and found.loss.weights is not None:
        found.loss = replace(found.loss, weights=found.loss.weights.to(META))
    return found


@pytest.mark.parametrize(
    ("name", "on_device"), [("plain", False), *((name, True) for name in RECIPES)]
)
def test_steps_need_no_value_of_the_device(shipped_images, images, name, on_device):
    values = {k: v for k, v in (RECIPE.model_dump() | RECIPES[name]).items() if v is not None}
    training = begun(shipped_images, images, RecipeSpec.model_validate(values), on_device)
    with NoBlockingCopy(), pytest.raises((RuntimeError, NotImplementedError), match="meta"):
        training.run_epoch(1)  # its end reads the mean loss
    assert training.step == STEPS
    assert len(training.losses) == STEPS
    assert all(loss.device == META for loss in training.losses)


@pytest.mark.parametrize(
    "wait",
    [
        lambda loss: loss.item(),
        lambda loss: loss.cpu(),
        lambda loss: bool(loss > 0),
    ],
    ids=["item", "cpu", "if"],
)
def test_a_step_that_waits_would_be_found(shipped_images, images, monkeypatch, wait):
    training = begun(shipped_images, images, RECIPE, True)
    step = training.run_step

    def waiting(*batch):
        loss = step(*batch)
        wait(loss)
        return loss

    monkeypatch.setattr(training, "run_step", waiting)
    with pytest.raises((RuntimeError, NotImplementedError)):
        training.run_epoch(1)
    assert training.step == 1
