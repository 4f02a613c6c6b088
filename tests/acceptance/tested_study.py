"""A study of a tiny network whose finalists are trained, to be tested on test images."""

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from tests.conftest import execute, fresh_database

NAME, CLASSES, SIZE = "tested", ("ant", "bee", "cat"), 40
SPEC = """
name = "{name}"
data.path = "{data}"

[backbone]
model = "test_efficientnet"
weights = "{weights}"

[recipe]
image_size = 32
eval_crop = 0.8
epochs = 2
warmup_epochs = 0
batch_size = 12

[sampler]
startup_trials = 2

[pruner]
name = "none"

[measures]
when = "{measures}"

[budget]
trials = {trials}

[checkpoints]
folder = "{artifacts}"

[workers]
heartbeat_seconds = 1
stalled_after_seconds = 3
{more}
"""


def write_images(
    path: Path,
    numbers: Sequence[int] = (12, 8, 10),
    *,
    seed: int = 0,
    without_test_of: Sequence[int] = (),
    permute_test: bool = False,
) -> None:
    """Write a .npz of noise with a colour a class, for training, validation and testing."""
    rng = np.random.default_rng(seed)
    arrays: dict[str, Any] = {"class_names": np.array(CLASSES)}
    for split, n in zip(("train", "val", "test"), numbers, strict=True):
        if n == 0:
            continue
        labels = np.repeat(np.arange(len(CLASSES)), n)
        if split == "test":
            labels = labels[~np.isin(labels, without_test_of)]
        pixels = rng.integers(256, size=(len(labels), SIZE, SIZE, 3))
        pixels[np.arange(len(labels)), :, :, labels] += 40
        if split == "test" and permute_test:
            labels = np.roll(labels, n // 2)
        arrays |= {f"x_{split}": pixels.clip(0, 255).astype(np.uint8), f"y_{split}": labels}
    np.savez(path, allow_pickle=False, **arrays)


@dataclass(frozen=True)
class TestedStudy:
    """Where it is.

    Attributes:
        url: of its database.
        data: its .npz file.
        artifacts: where its models lie.
    """

    __test__ = False

    url: str
    data: Path
    artifacts: Path

    @classmethod
    def create(
        cls,
        url: str,
        folder: Path,
        weights: Path,
        *,
        finalists: bool = True,
        measures: str = "off",
        trials: int = 3,
        more: str = "",
        **images: object,
    ) -> "TestedStudy":
        """Search and train finalists over two seeds, in this process."""
        import tlsearch

        folder.mkdir(parents=True, exist_ok=True)
        found = cls(url, folder / "images.npz", folder / "artifacts")
        write_images(found.data, **images)  # type: ignore[arg-type]
        spec = folder / "spec.toml"
        values = {"name": NAME, "data": found.data, "weights": weights, "measures": measures}
        values |= {"trials": trials, "artifacts": found.artifacts, "more": more}
        spec.write_text(SPEC.format(**values))
        tlsearch.create_study(spec, url)
        tlsearch.run_worker(NAME, url)
        if finalists:
            found.train_finalists()
        return found

    def train_finalists(self, top: int = 1, seeds: int = 2) -> None:
        from tlsearch.studies.finalists import run_finalists

        run_finalists(NAME, self.url, top=top, seeds=seeds)

    @contextmanager
    def copied(self, server_url: str, folder: Path) -> Iterator["TestedStudy"]:
        """Yield a copy of the database and the models, which a test may spoil."""
        template = self.url.split("@/")[1].split("?")[0]
        artifacts = folder / "artifacts"
        shutil.copytree(self.artifacts, artifacts)
        data = Path(shutil.copy(self.data, folder / "images.npz"))
        free = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname ="
        execute(server_url, f"{free} '{template}'")  # else it cannot be copied
        with fresh_database(server_url, template) as url:
            yield replace(self, url=url, artifacts=artifacts, data=data)
