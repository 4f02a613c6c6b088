"""The data set that comes with the package."""

import importlib.util
from collections import Counter
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from tlsearch.data import load_catalog, read_once
from tlsearch.data.sources import SHIPPED
from tlsearch.spec import DataSpec

ROOT = Path(__file__).resolve().parents[3]
SOURCE = ROOT.parent / "shared" / "data" / "fashion-mnist"
SHIPPED_FILE = SHIPPED["fashion-mnist-30"]


def test_thirty_twenty_and_a_hundred_of_each_class():
    catalog = load_catalog(DataSpec(path="builtin:fashion-mnist-30"))
    read_once(catalog, 28, 1.0)
    assert catalog.class_names == (
        "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat",
        "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot",
    )  # fmt: skip
    for refs, count in ((catalog.train, 30), (catalog.val, 20), (catalog.test, 100)):
        assert Counter(ref.label for ref in refs) == dict.fromkeys(range(10), count)
        sources = [ref.source for ref in refs if isinstance(ref.source, np.ndarray)]
        assert [source.shape for source in sources] == [(28, 28)] * len(refs)
    distinct = {ref.content() for ref in catalog.train + catalog.val + catalog.test}
    assert len(distinct) == 1500


def test_the_licence_is_beside_it():
    text = (SHIPPED_FILE.parent / "LICENSE-fashion-mnist.txt").read_text()
    assert "Copyright (c) 2017 Zalando SE, https://tech.zalando.com" in text
    assert "Permission is hereby granted, free of charge" in text


def bench_script() -> ModuleType:
    path = ROOT / "bench" / "shipped_data.py"
    spec = importlib.util.spec_from_file_location("shipped_data", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.skipif(not SOURCE.is_dir(), reason=f"{SOURCE} is not there")
def test_it_is_what_the_bench_script_makes(tmp_path):
    script = bench_script()
    arrays = script.build(SOURCE)
    with np.load(SHIPPED_FILE) as shipped:
        assert list(shipped) == list(arrays)
        for name, array in arrays.items():
            assert np.array_equal(shipped[name], array)
            assert shipped[name].dtype == array.dtype
    for name in ("one.npz", "two.npz"):
        script.write(arrays, tmp_path / name)
    assert (tmp_path / "one.npz").read_bytes() == (tmp_path / "two.npz").read_bytes()


@pytest.mark.skipif(not SOURCE.is_dir(), reason=f"{SOURCE} is not there")
def test_its_images_are_the_first_of_each_class():
    whole = load_catalog(
        DataSpec(path=str(SOURCE), val_per_class=1, val_fraction=0.01, splits="ranked")
    )
    shipped = load_catalog(DataSpec(path="builtin:fashion-mnist-30"))
    first: dict[int, list[bytes]] = {label: [] for label in range(10)}
    for ref in whole.test:
        first[ref.classes[0]].append(ref.content())
    for label in range(10):
        found = [ref.content() for ref in shipped.test if ref.label == label]
        assert found == first[label][:100]
