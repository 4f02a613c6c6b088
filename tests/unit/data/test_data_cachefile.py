"""The file of decoded images: whole or not there."""

import subprocess
import sys

import numpy as np
import pytest
from safetensors.numpy import load_file

from tests.pipes import read_line, write_line
from tests.unit.data.conftest import full_disk
from tlsearch.data import load_catalog, load_training_data
from tlsearch.data.cachefile import read_arrays, write_arrays
from tlsearch.spec import DataSpec


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "kept" / "x.safetensors"
    write_arrays(path, {"a": np.arange(5)})
    with full_disk(), pytest.raises(OSError, match="File too large"):
        write_arrays(path, {"a": np.arange(9), "b": np.zeros(100_000)})
    assert [p.name for p in path.parent.iterdir()] == ["x.safetensors"]
    found = read_arrays(path)
    assert found is not None
    assert found["a"].tolist() == [0, 1, 2, 3, 4]


def test_arrays_come_back_as_they_were(tmp_path):
    rng = np.random.default_rng(0)
    arrays: dict[str, np.ndarray] = {
        "bytes": rng.integers(0, 256, (3, 5, 7), dtype=np.uint8),
        "strided": rng.random((6, 8))[::2, 1::3],
        "one": np.array([7], dtype=np.int32),
    }
    write_arrays(tmp_path / "x", arrays)
    found = read_arrays(tmp_path / "x")
    assert found is not None
    assert found.keys() == arrays.keys()
    for name, array in arrays.items():
        assert found[name].dtype == array.dtype
        assert np.array_equal(found[name], array)


def test_it_is_a_safetensors_file(tmp_path):
    write_arrays(tmp_path / "x.safetensors", {"a": np.arange(6).reshape(2, 3)})
    assert np.array_equal(load_file(tmp_path / "x.safetensors")["a"], [[0, 1, 2], [3, 4, 5]])


def test_the_file_of_the_former_format_is_removed(tmp_path):
    """Version 0.1.0 wrote the same content with the suffix .arrays."""
    for name in ("x.arrays", "y.arrays"):
        (tmp_path / name).write_bytes(b"tlsearch arrays 1\n")
    write_arrays(tmp_path / "x.safetensors", {"a": np.arange(5)})
    assert sorted(p.name for p in tmp_path.iterdir()) == ["x.safetensors", "y.arrays"]


@pytest.mark.parametrize("place", range(0, 1000, 7))
def test_a_flipped_bit_is_found(tmp_path, place):
    """In the header's length, the header, its checksum or the arrays."""
    path = tmp_path / "x"
    write_arrays(path, {"a": np.arange(100), "b": np.zeros((3, 5), np.uint8)})
    content = bytearray(path.read_bytes())
    content[place] ^= 1 << place % 8
    path.write_bytes(content)
    assert read_arrays(path) is None


def test_a_file_may_be_replaced_while_it_is_mapped(tmp_path):
    write_arrays(tmp_path / "x", {"a": np.arange(5)})
    mapped = read_arrays(tmp_path / "x")
    write_arrays(tmp_path / "x", {"a": np.arange(5) + 100})
    assert mapped is not None
    assert mapped["a"].tolist() == [0, 1, 2, 3, 4]


RACE = """
import sys, pathlib
from tlsearch.data import load_catalog, load_training_data
from tlsearch.data.cache import cache_folder
from tlsearch.spec import DataSpec

catalog = load_catalog(DataSpec(path="builtin:fashion-mnist-30"))
print("ready", flush=True)
sys.stdin.readline()
sums = set()
for round in range(12):
    for path in cache_folder().glob("*.safetensors"):
        path.unlink(missing_ok=True)
    for again in range(3):
        data = load_training_data(catalog, 28, 1.0)
        sums.add(tuple(int(part.pixels[0].sum()) for part in (data.train, data.val)))
print(sums)
"""


def test_two_processes_at_once(cache_home):
    """Both write and delete the same file; neither ever reads half of one."""
    running = [
        subprocess.Popen(
            [sys.executable, "-c", RACE],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    for process in running:
        assert read_line(process) == "ready\n"
    for process in running:
        write_line(process, "")
    outputs = [process.communicate(timeout=60)[0] for process in running]
    data = load_training_data(load_catalog(DataSpec(path="builtin:fashion-mnist-30")), 28, 1.0)
    expected = {tuple(int(part.pixels[0].sum()) for part in (data.train, data.val))}
    assert outputs == [f"{expected}\n"] * 2
    assert len(list((cache_home / "tlsearch" / "datasets").iterdir())) == 1
