"""Makes small data sets and keeps the cache out of the user's home."""

import resource
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

MakeFolder = Callable[..., Path]


@pytest.fixture(autouse=True)
def cache_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    home = tmp_path / "cache-home"
    monkeypatch.setenv("XDG_CACHE_HOME", str(home))
    return home


@pytest.fixture
def make_folder(tmp_path: Path) -> MakeFolder:
    """Return a function that writes so many random PNGs into each of some folders."""

    def make(
        counts: dict[str, int], name: str = "images", size: tuple[int, int] = (12, 10)
    ) -> Path:
        root = tmp_path / name
        for folder, count in counts.items():
            (root / folder).mkdir(parents=True, exist_ok=True)
            for index in range(count):
                rng = np.random.default_rng([index, *folder.encode()])
                pixels = rng.integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
                Image.fromarray(pixels).save(root / folder / f"{index:03}.png")
        return root

    return make


@contextmanager
def full_disk() -> Iterator[None]:
    """No file may grow beyond 4 KiB; writing more fails half way, as on a full disk.

    Not a fixture: pytest writes to its own output, perhaps a file, while fixtures are in force.
    """
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
