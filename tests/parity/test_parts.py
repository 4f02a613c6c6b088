"""Batches that a device cannot take at once: their parts, and a real shortage of memory."""

import json
import logging
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from tests.parity.conftest import stand_in
from tests.parity.trainings import CPU, KNOBS, PLAIN_NETWORK, RECIPE, Run, assert_same_bits
from tlsearch.data import in_batches_that_fit
from tlsearch.errors import TrialFailure
from tlsearch.finetune import parts
from tlsearch.finetune.guards import reproducible
from tlsearch.finetune.training import Training

NO_BATCH_NORM = "test_vit"
RATE = 0.7  # of the peak


@pytest.fixture(autouse=True)
def nothing_is_known(monkeypatch):
    monkeypatch.setattr(parts, "_found", {})


def test_parts_are_the_batch():
    images, labels = torch.arange(32.0).reshape(32, 1, 1, 1), torch.arange(32)
    for at_once, sizes in ((40, [32]), (32, [32]), (16, [16, 16]), (12, [11, 11, 10])):
        found = list(parts.parts(images, labels, at_once))
        assert [len(part) for part, _, _ in found] == sizes
        assert torch.equal(torch.cat([part for part, _, _ in found]), images)
        assert torch.equal(torch.cat([part for _, part, _ in found]), labels)
        assert sum(share for _, _, share in found) == pytest.approx(1)


@pytest.mark.parametrize("mixed", [False, True])
def test_steps_in_parts_are_steps_of_the_whole_batch(shipped_images, mixed):
    """Where no layer looks at a batch as a whole."""
    recipe = RECIPE.model_copy(update={"mixup": 0.4 * mixed, "clip_norm": 0.5})

    def trained(at_once):
        with reproducible(0, CPU):
            training = Training.begin(stand_in(NO_BATCH_NORM), shipped_images, recipe, KNOBS, CPU)
            training.at_once = at_once
            training.set_training_mode()
            losses = [training.run_step(*batch, RATE) for batch in training.batches(1)]
        return torch.stack(losses), training.model.state_dict()

    losses, weights = trained(64)
    for at_once in (64, 40, 7):
        found, state = trained(at_once)
        assert torch.allclose(found, losses, atol=1e-5)
        for name, tensor in weights.items():
            assert torch.allclose(state[name], tensor, atol=1e-4), (at_once, name)
    # And they train: an equality of what never moved would prove nothing.
    with reproducible(0, CPU):
        start = Training.begin(stand_in(NO_BATCH_NORM), shipped_images, recipe, KNOBS, CPU)
    assert any(not torch.equal(weights[name], t) for name, t in start.model.state_dict().items())


def short_of_memory(monkeypatch, most):
    """Let steps fail as they do without memory, where more images pass through at once."""
    passed = torch.nn.Module.__call__

    def call(self, *args, **kwargs):
        training = self.training and args and isinstance(args[0], torch.Tensor)
        if training and args[0].ndim == 4 and args[0].shape[1] == 3 and len(args[0]) > most:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB.")
        return passed(self, *args, **kwargs)

    monkeypatch.setattr(torch.nn.Module, "__call__", call)


def test_a_training_that_fails_for_memory_begins_again_in_parts(
    shipped_images, monkeypatch, caplog
):
    whole = Run(shipped_images, PLAIN_NETWORK)
    with monkeypatch.context() as patch, caplog.at_level(logging.WARNING):
        short_of_memory(patch, 20)
        found = Run(shipped_images, PLAIN_NETWORK)
        again = Run(shipped_images, PLAIN_NETWORK)
    assert "steps of 64 images are made of parts of 16 at most" in caplog.text
    assert len(caplog.records) == 2, "64 to 32 to 16, once a process"
    assert [report.epoch for report in found.reports] == [1, 2, 3]
    assert len(found.checkpoints) == 3
    assert found.figures == again.figures != whole.figures  # batch norm sees parts
    assert_same_bits(found.weights, again.weights)
    (what,) = parts._found
    monkeypatch.setitem(parts._found, replace(what, image_size=64), 1)
    assert Run(shipped_images, PLAIN_NETWORK).figures == found.figures, "what is known is used"


def test_memory_that_is_gone_after_an_epoch_reports_none_twice(shipped_images, monkeypatch):
    reports, patches = [], pytest.MonkeyPatch()

    def report(self, one):
        reports.append(one)
        if one.epoch == 2 and not parts._found:
            short_of_memory(patches, 40)
        return original(self, one)

    original = Run.report
    monkeypatch.setattr(Run, "report", report)
    try:
        found = Run(shipped_images, PLAIN_NETWORK)
    finally:
        patches.undo()
    assert [each.epoch for each in reports] == [1, 2, 3]
    assert len(found.checkpoints) == 3
    assert list(parts._found.values()) == [32]


def test_the_smallest_parts_are_too_large(shipped_images, monkeypatch):
    short_of_memory(monkeypatch, 0)
    with pytest.raises(TrialFailure, match="cpu has too little memory") as caught:
        Run(shipped_images, PLAIN_NETWORK)
    assert caught.value.kind == "out_of_memory"
    (smallest,) = parts._found.values()
    assert 1 < smallest <= 2, "batch norm needs a spread"


def test_batches_without_gradients_shrink_too():
    tried = []

    def run(size):
        tried.append(size)
        if size > 30:
            raise torch.OutOfMemoryError("out of memory")
        return size

    assert in_batches_that_fit(200, run) == 25
    assert tried == [200, 100, 50, 25]
    with pytest.raises(RuntimeError, match="no memory, but a bug"):
        in_batches_that_fit(
            200, lambda _: (_ for _ in ()).throw(RuntimeError("no memory, but a bug"))
        )


IN_LITTLE_MEMORY = """
import json, resource, sys
import torch
import numpy as np
from tests.parity.conftest import stand_in
from tlsearch.data.imageset import TrainingData, packed
from tlsearch.finetune import FineTuneData, fine_tune, parts
from tlsearch.records import Hyperparameters
from tlsearch.spec import RecipeSpec

torch.set_num_threads(1)
torch.backends.mkldnn.enabled = False  # it calls a shortage of memory by another name
size, device = 160, torch.device("cpu")
backbone = stand_in("test_vit", size)
recipe = RecipeSpec(image_size=size, epochs=1, warmup_epochs=0, batch_size=64, eval_crop=1.0)
plain = Hyperparameters(1, 0.01, 1.0, 0, 0.0, 1e-4, 0)
noise = np.random.default_rng(0).integers(0, 255, (72, size, size, 3), dtype=np.uint8)
labels = [number % 2 for number in range(72)]
both = packed(list(noise[:64]), labels[:64]), packed(list(noise[64:]), labels[64:])
data = FineTuneData.on_device(TrainingData(("a", "b"), "noise", *both), device)
used = 4096 * int(open("/proc/self/statm").read().split()[0])
if room := int(sys.argv[1]):
    resource.setrlimit(resource.RLIMIT_AS, (used + room, used + room))
result = fine_tune(backbone, data, recipe, plain, device)
print(json.dumps([result.curve[0].train_loss, list(parts._found.values())]))
"""


@pytest.mark.slow
def test_a_real_shortage_of_memory():
    def trained(room: int):
        done = subprocess.run(
            [sys.executable, "-c", IN_LITTLE_MEMORY, str(room)],
            env=os.environ | {"OMP_NUM_THREADS": "1"},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    loss, found = trained(0)
    assert found == []
    in_parts, (at_once,) = trained(120_000_000)
    assert at_once < 64
    assert in_parts == pytest.approx(loss, abs=1e-5)


@pytest.mark.slow
def test_memory_does_not_grow_over_a_hundred_trials(shipped_images):
    recipe = RECIPE.model_copy(update={"epochs": 1, "warmup_epochs": 0})
    used = []
    for number in range(100):
        Run(shipped_images, PLAIN_NETWORK, recipe, replace(KNOBS, high_lr=0.001 * (1 + number)))
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        used.append(pages * os.sysconf("SC_PAGE_SIZE"))
    assert max(used[50:]) < max(used[:20]) + 10e6
