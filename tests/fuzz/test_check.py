"""`tlsearch check` on folders of damaged files: each is an image, left out, or passed over."""

import io
import json
import os
import random

import numpy as np
import pytest
from PIL import Image

from tests.fuzz.commands import DONE, REFUSED, check, make_corner
from tests.fuzz.images import DAMAGES, FORMATS, odd_image
from tests.fuzz.read_only import READ_ONLY
from tests.fuzz.specs import PLAIN

FRACTION = 0.98
WHOLE = 12  # of each class, so that it can be split


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    return make_corner(tmp_path_factory.mktemp("corner"))[1]


def odd_file(seed: int) -> tuple[str, bytes]:
    """Return the ending and the content of a file that may be an image; some are text, or none."""
    rng = random.Random(f"file {seed}")
    if rng.random() < 0.8:
        odd = odd_image(seed)
        return odd.ending, odd.content
    kind = rng.choice([*READ_ONLY, "zeros", "random", "text"])
    if kind in READ_ONLY:
        content = rng.choice(DAMAGES)[1](READ_ONLY[kind](rng), rng)
    else:
        length = rng.choice([1, 20, 3000])
        texts = {"zeros": bytes(length), "random": rng.randbytes(length), "text": b"a,b\n" * length}
        content = texts[kind]
    return rng.choice([*FORMATS.values(), "txt", "heic", "PNG", "jpeg"]), content


def write(root, seeds):
    """Write the odd files into two classes, beside whole ones."""
    for label in "ab":
        (root / label).mkdir(parents=True)
        for k in range(WHOLE):
            pixels = np.random.default_rng([k, ord(label)]).integers(0, 256, (20, 24, 3), np.uint8)
            Image.fromarray(pixels).save(root / label / f"whole{k}.png")
    for seed in seeds:
        ending, content = odd_file(seed)
        (root / "ab"[seed % 2] / f"{seed:06}.{ending}").write_bytes(content)
    return sum(len(files) for _, _, files in os.walk(root))


def of_folder(tmp_path, weights, monkeypatch, seeds):
    """Check a folder of odd files; return what was said of it, and how many files it has."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home"))
    n_files = write(tmp_path / "images", seeds)
    spec = tmp_path / "spec.toml"
    text = PLAIN.format(images=tmp_path / "images", weights=weights)
    spec.write_text(text)
    word, why = check(spec)
    assert word == REFUSED, why
    spec.write_text(text.replace("[data]", f"[data]\nmax_bad_fraction = {FRACTION}"))
    word, said = check(spec, "--json", "--samples", str(tmp_path / "samples.png"))
    assert word == DONE, said
    with Image.open(tmp_path / "samples.png") as picture:
        assert picture.width > 300
    return json.loads(said), n_files


def accounted(checked):
    used = checked["n_train"] + checked["n_val"] + checked["n_test"]
    passed = sum(each["files"] for each in checked["passed_over"].values())
    return used + len(checked["left_out"]) + passed


def test_forty_damaged_files(tmp_path, weights, monkeypatch):
    checked, n_files = of_folder(tmp_path, weights, monkeypatch, range(40))
    assert accounted(checked) == n_files == 40 + 2 * WHOLE
    assert len(checked["left_out"]) > 8
    assert all(each["reason"] and "\n" not in each["reason"] for each in checked["left_out"])


def test_formats_that_pillow_only_reads_are_those_meant():
    for kind, make in READ_ONLY.items():
        with Image.open(io.BytesIO(make(random.Random(0)))) as image:
            assert image.format == kind
            image.load()


@pytest.mark.slow
def test_a_thousand_damaged_files(tmp_path, weights, monkeypatch):
    checked, n_files = of_folder(tmp_path, weights, monkeypatch, range(100, 1100))
    assert accounted(checked) == n_files == 1000 + 2 * WHOLE
    assert len(checked["left_out"]) > 200
    assert checked["n_train"] + checked["n_val"] + checked["n_test"] > 300
