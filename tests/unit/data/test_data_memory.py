"""Memory follows the images, and where it does not suffice there is one sentence."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from tlsearch.data import evaluated_at_once, load_catalog, load_training_data, memory
from tlsearch.data.imageset import canvas_bytes, canvas_shapes, packed, places_of
from tlsearch.errors import MemoryShortage, is_memory_shortage
from tlsearch.spec import DataSpec


@pytest.mark.parametrize(
    ("image_size", "n_images"),
    [(32, 200), (128, 200), (144, 158), (224, 65), (384, 22), (1024, 16)],
)
def test_fewer_of_larger_images_are_evaluated_at_once(image_size, n_images):
    assert evaluated_at_once(image_size) == n_images


def stored_sizes(aspects: list[float], short: int = 64) -> np.ndarray:
    """Heights and widths of decoded images: a shorter side, and at most twice that."""
    sides = [(short, round(short * abs(a))) for a in aspects]
    flipped = [side[::-1] if a < 0 else side for a, side in zip(aspects, sides, strict=True)]
    return np.array(flipped, dtype=np.int32)


def image_bytes(sizes: np.ndarray) -> int:
    return int(3 * sizes.astype(np.int64).prod(axis=1).sum())


aspects = st.lists(st.floats(1, 2) | st.floats(-2, -1), min_size=1, max_size=60)


@given(aspects)
@settings(deadline=None)
def test_canvases_take_little_more_than_their_images(aspects):
    sizes = stored_sizes(aspects)
    taken = canvas_bytes(sizes)
    assert image_bytes(sizes) <= taken <= 1.25 * image_bytes(sizes)
    assert len(canvas_shapes(places_of(sizes), sizes)) <= 17


@given(aspects)
@settings(deadline=None, max_examples=25)
def test_every_image_is_on_one_canvas_once(aspects):
    sizes = stored_sizes(aspects, 16)
    rng = np.random.default_rng(0)
    images = [rng.integers(1, 256, (*size, 3), dtype=np.uint8) for size in sizes]
    found = packed(list(images), list(range(len(images))))
    assert all(np.array_equal(found.image(k), image) for k, image in enumerate(images))
    assert len(np.unique(found.places, axis=0)) == len(images)
    assert sum(int((canvas > 0).sum()) for canvas in found.pixels) == image_bytes(sizes)


def test_a_few_panoramas_cost_what_they_are():
    squares, odd = [1.0] * 400, [2.0] * 3 + [-2.0] * 3
    alone, together = (canvas_bytes(stored_sizes(a, 256)) for a in (squares, squares + odd))
    assert together == alone + 6 * 2 * 256 * 256 * 3


def test_images_of_one_shape_are_on_one_canvas():
    sizes = stored_sizes([1.5] * 7)
    assert canvas_shapes(places_of(sizes), sizes) == [(7, 64, 96, 3)]
    assert places_of(sizes)[:, 1].tolist() == list(range(7))


def test_like_shapes_are_on_one_canvas():
    sizes = np.array([(64, 96), (64, 97), (64, 98), (65, 96)], np.int32)
    assert canvas_shapes(places_of(sizes), sizes) == [(4, 65, 98, 3)]


def test_the_least_of_all_limits_counts(monkeypatch, tmp_path):
    monkeypatch.setattr(memory, "_limits", lambda: iter(()))
    monkeypatch.setattr(memory, "_MEMINFO", tmp_path / "meminfo")
    monkeypatch.setattr(memory, "_OWN_CGROUP", tmp_path / "cgroup")
    monkeypatch.setattr(memory, "_CGROUP", tmp_path / "groups")
    assert memory.free_bytes() is None
    (tmp_path / "meminfo").write_text("MemTotal: 9000 kB\nMemAvailable: 5000 kB\nSwapFree: 7 kB\n")
    assert memory.free_bytes() == 5007 * 1024
    inner = tmp_path / "groups" / "a" / "b"
    inner.mkdir(parents=True)
    (tmp_path / "cgroup").write_text("0::/a/b\n")
    for folder, limit in ((inner, "max"), (inner.parent, str(4 << 20))):
        (folder / "memory.max").write_text(limit)
        (folder / "memory.current").write_text(str(3 << 20))
        (folder / "memory.stat").write_text(f"anon 5\ninactive_file {1 << 20}\n")
    assert memory.free_bytes() == 2 << 20
    first = tmp_path / "groups" / "memory"
    first.mkdir()
    (first / "memory.limit_in_bytes").write_text(str(1 << 20))
    (first / "memory.usage_in_bytes").write_text(str(1 << 20))
    assert memory.free_bytes() == 0


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        OSError(12, "Cannot allocate memory"),
        RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried"),
        RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB"),
        RuntimeError("can't start new thread"),
    ],
)
def test_all_kinds_of_shortage_are_one_sentence(error):
    with (
        pytest.raises(MemoryShortage, match=r"^too little memory to sing.*; sing less$"),
        memory.enough_memory("to sing", "sing less"),
    ):
        raise error
    assert is_memory_shortage(error)


@pytest.mark.parametrize("error", [OSError(2, "No such file"), RuntimeError("shape"), ValueError()])
def test_other_errors_are_themselves(error):
    with pytest.raises(type(error)), memory.enough_memory("to sing", "sing less"):
        raise error


@pytest.fixture
def many(tmp_path: Path) -> Path:
    for name in "ab":
        (tmp_path / "many" / name).mkdir(parents=True)
        for k in range(30):
            Image.new("RGB", (40, 40), (k, k, k)).save(tmp_path / "many" / name / f"{k}.png")
    return tmp_path / "many"


def test_decoding_stops_before_memory_does(many, monkeypatch, cache_home):
    """What the images so far take says what all of them will."""
    monkeypatch.setattr("tlsearch.data.cache._PART", 10)
    monkeypatch.setattr(memory, "free_bytes", lambda: 20_000)
    catalog = load_catalog(DataSpec(path=str(many)))
    with pytest.raises(MemoryShortage) as caught:
        load_training_data(catalog, 16, 1.0)
    said = str(caught.value)
    assert said.startswith("too little memory for the decoded images: about ")
    assert "0.02 MB can be had" in said
    assert not (cache_home / "tlsearch").exists()
    assert caught.value.exit_code == 2


LIMITED = """
import os, resource, sys
from tlsearch.data import load_catalog, load_training_data, DeviceImages, memory
from tlsearch.errors import MemoryShortage
from tlsearch.spec import DataSpec
catalog = load_catalog(DataSpec(path=sys.argv[1]))
size = 1024 * memory._table(memory._STATUS)["VmSize"]
for megabytes in map(int, sys.argv[2:]):
    if child := os.fork():
        os.waitpid(child, 0)
        continue
    resource.setrlimit(resource.RLIMIT_AS, (size + megabytes * 2**20, -1))
    print(megabytes, 0 < memory.free_bytes() <= megabytes * 2**20, end=" ", flush=True)
    try:
        DeviceImages(load_training_data(catalog, 1024, 1.0).train, "cpu")
    except MemoryShortage as error:
        print(error, flush=True)
    os._exit(0)
"""


def test_a_real_limit_is_one_sentence(many):
    """48 images of 3 MB to decode; whatever runs short first."""
    limits = ["1", "30", "60", "100", "130"]
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, str(many), *limits],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr == ""
    said = done.stdout.splitlines()
    assert [line.split()[0] for line in said] == limits
    assert all(line.partition(" ")[2].startswith("True too little memory") for line in said)
