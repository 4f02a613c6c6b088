"""Small fine-tunings of a random network, and whether two of them are the same to the last bit."""

import numpy as np
import pytest
import torch

from tests.parity.conftest import stand_in
from tlsearch.errors import Interrupted
from tlsearch.finetune import FineTuneData, fine_tune
from tlsearch.finetune import checkpointfile as format_of
from tlsearch.finetune.checkpoint import load_weights
from tlsearch.records import Decision, EpochReport, FineTuneResult, Hyperparameters
from tlsearch.spec import RecipeSpec

CPU = torch.device("cpu")
PLAIN_NETWORK = "test_efficientnet"
# Both rates and both decays are at work, with momentum on top.
KNOBS = Hyperparameters(
    reinit_layers=2,
    high_lr=0.02,
    low_lr_ratio=0.3,
    low_layers=2,
    alpha=0.02,
    beta=0.003,
    l2sp_layers=3,
)
RECIPE = RecipeSpec(image_size=32, epochs=3, batch_size=64, warmup_epochs=1, eval_crop=1.0)
STEPS = 4  # an epoch, of 300 images
ALL_STEPS = 12


class AfterSteps:
    """Asks to stop once so many steps were done."""

    def __init__(self, steps: int) -> None:
        self.left = steps

    def __call__(self) -> bool:
        self.left -= 1
        return self.left == 0


class Run:
    """What came of a fine-tuning: the result, what was reported, and the last checkpoint."""

    def __init__(self, images: FineTuneData, network: str, recipe=RECIPE, knobs=KNOBS, **more):
        self.reports: list[EpochReport] = []
        self.checkpoints: list[bytes] = []
        self.result: FineTuneResult = fine_tune(
            stand_in(network),
            images,
            recipe,
            knobs,
            CPU,
            self.report,
            on_checkpoint=self.checkpoints.append,
            **more,
        )

    def report(self, report):
        self.reports.append(report)
        return Decision.CONTINUE

    @property
    def figures(self):
        return [(e.epoch, e.val_accuracy, e.train_loss) for e in self.result.curve]

    @property
    def weights(self):
        return load_weights(self.checkpoints[-1])


def interrupted(images, network, steps, recipe=RECIPE, **more) -> bytes:
    with pytest.raises(Interrupted) as caught:
        Run(images, network, recipe, should_stop=AfterSteps(steps), **more)
    return caught.value.checkpoint


def assert_same_bits(found, expected):
    assert found.keys() == expected.keys()
    for name, tensor in expected.items():
        assert found[name].dtype == tensor.dtype
        assert torch.equal(found[name], tensor), name


def probabilities(run: Run) -> np.ndarray:
    assert run.result.val_probabilities is not None
    return run.result.val_probabilities


def assert_same_training(resumed: Run, whole: Run):
    assert resumed.figures == whole.figures
    assert resumed.result.val_predictions == whole.result.val_predictions
    assert np.array_equal(probabilities(resumed), probabilities(whole))
    assert_same_bits(resumed.weights, whole.weights)
    # The last checkpoint holds momentum and generators too.
    last, expected = (
        format_of.CheckpointFile.unpack(run.checkpoints[-1]) for run in (resumed, whole)
    )
    assert_same_bits(last.tensors, expected.tensors)


def assert_resumes_from_step(images: FineTuneData, whole: Run, steps: int, recipe: RecipeSpec):
    data = interrupted(images, PLAIN_NETWORK, steps, recipe)
    assert_same_training(Run(images, PLAIN_NETWORK, recipe, resume=data), whole)


def assert_resumes_from_epoch(images: FineTuneData, whole: Run, epoch: int, recipe: RecipeSpec):
    data = whole.checkpoints[epoch - 1]
    assert_same_training(Run(images, PLAIN_NETWORK, recipe, resume=data), whole)
