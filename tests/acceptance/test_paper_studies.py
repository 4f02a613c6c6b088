"""studies/paper: `tlsearch check` passes on every file where the images lie as its README says."""

import importlib
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

units = importlib.import_module("bench.paper.units")
make = units.maker()
HAS_VAL = {"caltech": True, "cars": False, "aircraft": True, "dtd": True}  # README.md
PAPER = sorted(path.stem for path in make.files() if path.parent == make.HERE)
QUICK = sorted(path.stem for path in make.files() if path.parent != make.HERE)


def _all_but_slow(names, fast):
    """One of each kind is always checked; the whole walk takes minutes."""
    return [name if name == fast else pytest.param(name, marks=pytest.mark.slow) for name in names]


def images(folder: Path, n: int) -> None:
    """Write a few images of one class, none like another."""
    folder.mkdir(parents=True)
    seed = sum(str(folder).encode())
    pixels = np.random.default_rng(seed).integers(0, 256, (n, 24, 24, 3), dtype=np.uint8)
    for number, one in enumerate(pixels):
        Image.fromarray(one).save(folder / f"{number:04}.png")


@pytest.fixture(scope="session")
def stand_in(tmp_path_factory):
    """Small trees in the layout of studies/paper/README.md."""
    root = tmp_path_factory.mktemp("paper")
    for name, has_val in HAS_VAL.items():
        for part in ("train", *(["val"] if has_val else []), "test"):
            for label in ("one", "two", "three"):
                images(root / "data" / name / part / label, 12 if part == "train" else 4)
    for number in range(8):
        images(root / "emoji" / f"class{number}", 90)
    return root


@pytest.fixture(scope="session")
def weights(tmp_path_factory):
    """Inception v4 with random weights, since there is no network here to fetch real ones."""
    import safetensors.torch

    from tlsearch.backbones import build

    path = tmp_path_factory.mktemp("weights") / "inception.safetensors"
    state = build("inception_v4", 1000, seed=0, image_size=299).state_dict()
    safetensors.torch.save_file(state, path)
    return path


def test_small_images_lie_as_the_readme_says(stand_in):
    from tlsearch.data import load_catalog
    from tlsearch.spec import load_spec

    for name in HAS_VAL:
        path = stand_in / f"table2-{name}.toml"
        path.write_text((make.HERE / path.name).read_text())
        catalog = load_catalog(load_spec(path).data)
        assert len(catalog.class_names) == 3
        assert catalog.train
        assert catalog.val
        assert len(catalog.test) == 12


@pytest.mark.parametrize("name", _all_but_slow(PAPER, "figure3-dtd"))
def test_check_of_the_papers_own(tlsearch, stand_in, weights, name):
    path = stand_in / f"{name}.toml"
    text = (make.HERE / path.name).read_text()
    path.write_text(re.sub(r"(?m)^(model = .*)$", rf'\1\nweights = "{weights}"', text))
    found = tlsearch.json("check", str(path))
    assert found["space"]["n_body_layers"] == 22


@pytest.mark.parametrize("name", _all_but_slow(QUICK, "table2-emoji"))
def test_check_of_small_ones(tlsearch, stand_in, tmp_path, name):
    path = tmp_path / f"{name}.toml"
    text = (make.HERE / "quickstart" / path.name).read_text()
    if "digits" in name:
        digits = tmp_path / "digits.npz"
        units_of_search = units.ROOT / "bench" / "search" / "table.py"
        importlib.import_module("runpy").run_path(str(units_of_search))["write_digits"](digits)
        text = re.sub(r'path = ".*"', f'path = "{digits}"', text)
    if "emoji" in name:
        text = re.sub(r'path = ".*"', f'path = "{stand_in / "emoji"}"', text)
    path.write_text(text)
    assert tlsearch.json("check", str(path))["space"]["n_body_layers"] == 17
