"""Checkpoints that cannot be used are refused in one sentence, before anything has changed."""

import json
from dataclasses import replace
from random import Random

import pytest
import safetensors.torch
import torch

from tests.parity.conftest import stand_in
from tests.parity.test_checkpoint import DROPPING
from tests.parity.trainings import (
    CPU,
    KNOBS,
    PLAIN_NETWORK,
    RECIPE,
    STEPS,
    Run,
    assert_same_bits,
    interrupted,
)
from tlsearch.errors import CheckpointError
from tlsearch.finetune import FineTuneData, fine_tune
from tlsearch.finetune import checkpointfile as format_of
from tlsearch.finetune.checkpoint import curve_of, load_weights, model_only
from tlsearch.finetune.training import Training
from tlsearch.records import Hyperparameters
from tlsearch.spec import RecipeSpec


@pytest.fixture(scope="module")
def mid_epoch(shipped_images) -> bytes:
    """A checkpoint two steps into the second epoch."""
    return interrupted(shipped_images, PLAIN_NETWORK, STEPS + 2)


class TestErrorMessages:
    @pytest.mark.parametrize("name", KNOBS.as_dict())
    def test_other_hyperparameters(self, shipped_images, mid_epoch, name):
        value = KNOBS.as_dict()[name]
        changed = value + 1 if isinstance(value, int) else value * 1.001
        other = Hyperparameters.from_dict(KNOBS.as_dict() | {name: changed})
        with pytest.raises(CheckpointError, match="another training"):
            Run(shipped_images, PLAIN_NETWORK, knobs=other, resume=mid_epoch)

    @pytest.mark.parametrize(
        "changes", [{"epochs": 4}, {"seed": 1}, {"batch_size": 60}, {"crop_scale": [0.5, 1.0]}]
    )
    def test_another_recipe(self, shipped_images, mid_epoch, changes):
        recipe = RecipeSpec(**{**RECIPE.model_dump(), **changes})
        with pytest.raises(CheckpointError, match="another training"):
            Run(shipped_images, PLAIN_NETWORK, recipe, resume=mid_epoch)

    def test_another_network_or_other_weights(self, shipped_images, mid_epoch):
        backbone = stand_in(PLAIN_NETWORK)
        state = dict(backbone.state)
        key = next(iter(state))
        state[key] = state[key] + 1e-6
        for other in (stand_in(DROPPING), replace(backbone, state=state)):
            with pytest.raises(CheckpointError, match="another training"):
                fine_tune(other, shipped_images, RECIPE, KNOBS, CPU, resume=mid_epoch)

    def test_other_images_or_classes(self, shipped_images, mid_epoch):
        train, val = shipped_images.train, shipped_images.val
        for other in (
            FineTuneData(train, val, 11),
            FineTuneData(train, train, 10),
            FineTuneData(val, val, 10),
        ):
            with pytest.raises(CheckpointError, match="another training"):
                Run(other, PLAIN_NETWORK, resume=mid_epoch)

    def test_integers_where_floats_belong_are_the_same_hyperparameters(self, shipped_images):
        data = interrupted(shipped_images, PLAIN_NETWORK, 1, knobs=replace(KNOBS, low_lr_ratio=1.0))
        Run(shipped_images, PLAIN_NETWORK, knobs=replace(KNOBS, low_lr_ratio=1), resume=data)

    def test_another_format(self, mid_epoch, monkeypatch):
        monkeypatch.setattr(format_of, "FORMAT", 2)
        for read in (curve_of, model_only, load_weights):
            with pytest.raises(CheckpointError, match="has format 1"):
                read(mid_epoch)


class TestDamage:
    """Whatever is wrong with the bytes is a CheckpointError, and the model stays as it was."""

    def assert_refused(self, data: bytes, readers=(curve_of, model_only, load_weights)):
        for read in readers:
            with pytest.raises(CheckpointError) as caught:
                read(data)
            assert "\n" not in str(caught.value)
            assert str(caught.value)

    def header_end(self, data: bytes) -> int:
        return 8 + int.from_bytes(data[:8], "little")

    def test_cut_short_or_too_long(self, mid_epoch):
        end = self.header_end(mid_epoch)
        lengths = {*range(20), *range(0, end, 97), *range(end - 9, end + 9)}
        lengths |= {*range(0, len(mid_epoch), 31_337), len(mid_epoch) - 1}
        for length in sorted(lengths):
            self.assert_refused(mid_epoch[:length])
        self.assert_refused(mid_epoch + b"\0")

    def test_flipped_bits_in_the_header(self, mid_epoch):
        """Every bit of its length, and some bit of every third byte of the rest."""
        random = Random(0)
        flips = [(place, bit) for place in range(8) for bit in range(8)]
        flips += [(n, random.randrange(8)) for n in range(8, self.header_end(mid_epoch), 3)]
        for place, bit in flips:
            damaged = bytearray(mid_epoch)
            damaged[place] ^= 1 << bit
            self.assert_refused(bytes(damaged), [load_weights])

    def test_flipped_bits_anywhere_else(self, mid_epoch):
        random = Random(0)
        for _ in range(100):
            damaged = bytearray(mid_epoch)
            damaged[random.randrange(self.header_end(mid_epoch), len(damaged))] ^= 1
            self.assert_refused(bytes(damaged), [model_only, load_weights])

    def test_what_is_no_checkpoint(self):
        random = Random(0)
        self.assert_refused(b"")
        for length in (1, 7, 8, 9, 100, 10_000):
            self.assert_refused(bytes(length))
            self.assert_refused(b"\xff" * length)
            for _ in range(20):
                self.assert_refused(random.randbytes(length))
        deep = b"[" * 100_000
        self.assert_refused(len(deep).to_bytes(8, "little") + deep)
        for header in (b"{}", b"[]", b"1", b'{"__metadata__":{}}', b'{"__metadata__":1,"a":1}'):
            self.assert_refused(len(header).to_bytes(8, "little") + header)

    def test_other_safetensors_files(self):
        tensors = {"a": torch.ones(3)}
        self.assert_refused(safetensors.torch.save(tensors))
        self.assert_refused(safetensors.torch.save(tensors, {"checkpoint": "{}", "sha256": ""}))

    def test_a_tensor_that_was_taken_out_or_reshaped(self, mid_epoch):
        tensors, metadata = self.opened(mid_epoch)
        for name in ("model.classifier.weight", "momentum.classifier.weight", "rng.cpu", "losses"):
            fewer = {key: tensor for key, tensor in tensors.items() if key != name}
            flat = {**tensors, name: tensors[name].reshape(1, -1)}
            for other in (fewer, flat):
                self.assert_refused(
                    safetensors.torch.save(other, metadata), [model_only, load_weights]
                )

    @pytest.mark.parametrize(
        "name", ["model.classifier.weight", "momentum.conv_stem.weight", "rng.cpu", "losses"]
    )
    def test_what_does_not_fit_leaves_the_training_as_it_was(self, shipped_images, name, mid_epoch):
        """Files that are whole by their own account, but not what this model needs."""
        file = format_of.CheckpointFile.unpack(mid_epoch)
        tensor = file.tensors[name]
        changed = [
            {**file.tensors, name: tensor.reshape(1, -1).contiguous()},
            {**file.tensors, name: tensor.to(torch.int32)},
            {**file.tensors, "model.extra": torch.ones(1)},
            {**file.tensors, "momentum.extra": torch.ones(1)},
        ]
        if not name.startswith("momentum"):
            changed.append({key: value for key, value in file.tensors.items() if key != name})
        training = Training.begin(stand_in(PLAIN_NETWORK), shipped_images, RECIPE, KNOBS, CPU)
        before = {key: value.clone() for key, value in training.model.state_dict().items()}
        generator = torch.get_rng_state()
        for tensors in changed:
            with pytest.raises(CheckpointError, match=r"fit the model|only the model"):
                training.restore(replace(file, tensors=tensors).pack())
        assert_same_bits(training.model.state_dict(), before)
        assert not training.optimizer.state
        assert (training.step, training.curve, training.losses) == (0, [], [])
        assert torch.equal(torch.get_rng_state(), generator)

    def test_a_damaged_file_does_not_begin_to_train(self, shipped_images, mid_epoch):
        with pytest.raises(CheckpointError, match="damaged"):
            Run(shipped_images, PLAIN_NETWORK, resume=mid_epoch[:-1])

    def opened(self, data: bytes):
        header = json.loads(data[8 : self.header_end(data)])
        return safetensors.torch.load(data), header["__metadata__"]
