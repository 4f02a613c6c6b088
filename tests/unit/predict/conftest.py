"""Exported folders, written once a session."""

import shutil
from pathlib import Path

import pytest

from tests.exported_folder import odd_images, write_folder


@pytest.fixture(scope="session")
def single(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One network."""
    path = tmp_path_factory.mktemp("exported") / "single"
    write_folder(path)
    return path


@pytest.fixture(scope="session")
def mean(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The mean of two networks, as a graph too."""
    path = tmp_path_factory.mktemp("exported") / "mean"
    write_folder(path, (1, 2), onnx=True)
    return path


@pytest.fixture
def copied(single: Path, tmp_path: Path) -> Path:
    """One network in a folder of the test's own, to be damaged."""
    return Path(shutil.copytree(single, tmp_path / "copied"))


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """A folder of odd images."""
    folder = tmp_path / "photos"
    folder.mkdir()
    for name, content in odd_images().items():
        (folder / name).write_bytes(content)
    return folder
