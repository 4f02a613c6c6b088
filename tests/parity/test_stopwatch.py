"""Where the time of a training goes."""

import time

import pytest
import torch

from tests.parity.trainings import CPU, PLAIN_NETWORK, RECIPE, Run, interrupted
from tlsearch.finetune.stopwatch import Stopwatch
from tlsearch.records.training import TrainingTimes


def test_blocks_are_added_up():
    watch = Stopwatch(CPU)
    for _ in range(3):
        with watch.measuring("steps", images=8):
            time.sleep(0.01)
    with watch.measuring("validation"):
        time.sleep(0.01)
    for _ in range(2):  # reading changes nothing
        times = watch.times()
    assert times.steps >= 0.03
    assert times.validation >= 0.01
    assert times.steps + times.validation < 10
    assert (times.batches, times.images) == (0, 24)


@pytest.mark.gpu
def test_a_gpu_is_measured_by_its_own_events():
    device = torch.device("cuda")
    watch, matrix = Stopwatch(device), torch.rand(4096, 4096, device=device)
    with watch.measuring("steps"):
        for _ in range(20):
            matrix = matrix @ matrix
    assert watch.times().steps > 0


def test_a_training_says_where_its_time_went(shipped_images):
    run = Run(shipped_images, PLAIN_NETWORK)
    times = run.result.times
    assert times is not None
    n_steps = len(shipped_images.train) // RECIPE.batch_size
    assert times.images == RECIPE.epochs * n_steps * RECIPE.batch_size
    assert min(times.batches, times.steps, times.validation) > 0
    assert times.batches + times.steps + times.validation <= run.result.seconds
    checkpoint = interrupted(shipped_images, PLAIN_NETWORK, n_steps + 1)
    resumed = Run(shipped_images, PLAIN_NETWORK, resume=checkpoint).result.times
    assert resumed is not None
    assert resumed.images == times.images - (n_steps + 1) * RECIPE.batch_size, "of this attempt"


def test_attributes_are_seconds_and_a_rate():
    assert TrainingTimes(0.5, 1.50049, 0.25, 300).as_attrs() == {
        "times": {"batches": 0.5, "steps": 1.5, "validation": 0.25, "images_per_second": 150.0}
    }
    assert TrainingTimes(0, 0, 0, 0).as_attrs()["times"] == {
        "batches": 0,
        "steps": 0,
        "validation": 0,
        "images_per_second": None,
    }
