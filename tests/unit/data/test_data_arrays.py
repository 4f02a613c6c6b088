"""Sources of arrays: .npz and idx."""

import gzip
import re
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tlsearch.data import Catalog, ImageRef, load_catalog
from tlsearch.errors import DataError
from tlsearch.spec import DataSpec

RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 256, (12, 6, 5), dtype=np.uint8)
LABELS = np.arange(12) % 3


def load(path: Path, **keys: object) -> Catalog:
    return load_catalog(DataSpec.model_validate({"path": str(path), **keys}))


def npz(folder: Path, **arrays: np.ndarray) -> Path:
    contents: dict[str, Any] = dict(arrays)
    np.savez(folder / "data.npz", **contents)
    return folder / "data.npz"


def pixels_of(ref: ImageRef) -> np.ndarray:
    assert isinstance(ref.source, np.ndarray)
    return ref.source


def refusal(path: Path, **keys: object) -> str:
    with pytest.raises(DataError) as caught:
        load(path, **keys)
    text = str(caught.value)
    assert "\n" not in text
    assert str(path) in text
    return text


def test_npz_with_splits(tmp_path):
    arrays: dict[str, np.ndarray] = {"x_train": IMAGES, "y_train": LABELS}
    arrays |= {"x_val": IMAGES[:3], "y_val": LABELS[:3]}
    names = np.array(["ant", "bee", "cow"])
    catalog = load(npz(tmp_path, **arrays, class_names=names))
    assert catalog.class_names == ("ant", "bee", "cow")
    assert [ref.name for ref in catalog.val] == ["x_val[0]", "x_val[1]", "x_val[2]"]
    assert [ref.label for ref in catalog.train] == LABELS.tolist()
    assert all(np.array_equal(pixels_of(r), i) for r, i in zip(catalog.train, IMAGES, strict=True))


def test_npz_in_one_piece_is_split(tmp_path):
    catalog = load(npz(tmp_path, images=IMAGES, labels=LABELS), val_fraction=0.25)
    assert [len(s) for s in (catalog.train, catalog.val, catalog.test)] == [6, 3, 3]
    for ref in catalog.train + catalog.val + catalog.test:
        index = int(ref.name.removeprefix("images[").removesuffix("]"))
        assert ref.label == LABELS[index]
        assert np.array_equal(pixels_of(ref), IMAGES[index])


def test_labels_without_names_are_the_classes(tmp_path):
    catalog = load(npz(tmp_path, images=IMAGES, labels=np.array([10, 2, 7], "int16")[LABELS]))
    assert catalog.class_names == ("2", "7", "10")
    first = {r.name: r.label for r in catalog.train + catalog.val + catalog.test}["images[0]"]
    assert first == 2


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_npz_takes_channels(tmp_path, channels):
    images = np.repeat(IMAGES[..., None], channels, axis=3)
    assert len(load(npz(tmp_path, images=images, labels=LABELS)).class_names) == 3


@pytest.mark.parametrize(
    ("arrays", "sentence"),
    [
        ({"images": IMAGES / 255, "labels": LABELS}, "images is float64; save the images as uint8"),
        ({"images": IMAGES[0], "labels": LABELS}, "images has the shape (6, 5); it must be"),
        (
            {"images": np.zeros((12, 6, 5, 2), "uint8"), "labels": LABELS},
            "images has the shape (12, 6, 5, 2); it must be",
        ),
        ({"images": IMAGES[:, :0], "labels": LABELS}, "images has the shape (12, 0, 5)"),
        ({"images": IMAGES, "labels": LABELS[:9]}, "images has 12 images but labels 9 labels"),
        ({"images": IMAGES, "labels": LABELS / 2}, "labels is float64 of shape (12,)"),
        ({"images": IMAGES, "labels": LABELS[:, None]}, "labels is int64 of shape (12, 1)"),
        ({"images": IMAGES}, "has images but no labels"),
        ({"x_train": IMAGES}, "has x_train but no y_train"),
        (
            {"x_train": IMAGES, "y_train": LABELS, "y_val": LABELS},
            "has y_val but no x_val",
        ),
        ({"pictures": IMAGES, "labels2": LABELS}, "has labels2, pictures; it must have x_train"),
        (
            {"images": IMAGES, "labels": LABELS, "class_names": np.array(["a", "b"])},
            "labels has the label 2 but class_names has 2 names",
        ),
        (
            {"images": IMAGES, "labels": LABELS - 1, "class_names": np.array(["a", "b", "c"])},
            "labels has the label -1",
        ),
        (
            {"images": IMAGES, "labels": LABELS, "class_names": np.array(["a", "b", "b"])},
            "class_names has a name twice",
        ),
        (
            {"images": IMAGES, "labels": LABELS, "class_names": np.arange(3)},
            "class_names is int64 of shape (3,); it must be text",
        ),
        (
            {"images": IMAGES[:2], "labels": LABELS[:2], "class_names": np.array(["a", "b", "c"])},
            "no image of the class 'c' among the 2 images",
        ),
        (
            {"x_train": IMAGES, "y_train": LABELS, "x_val": IMAGES[:2], "y_val": LABELS[:2]},
            "no image of the class '2' among the 2 val images",
        ),
        (
            {"x_train": IMAGES, "y_train": LABELS, "x_val": IMAGES[:0], "y_val": LABELS[:0]},
            "no image of the class '0', '1', '2' among the 0 val images",
        ),
        ({"images": IMAGES, "labels": LABELS * 0}, "has 1 class ('0'); at least two"),
        ({"images": IMAGES[:0], "labels": LABELS[:0]}, "has 0 classes"),
    ],
)
def test_refuses_arrays_that_do_not_fit(tmp_path, arrays, sentence):
    assert sentence in refusal(npz(tmp_path, **arrays))


def test_refuses_objects(tmp_path):
    names = np.array(["a", None, 3], dtype=object)
    path = npz(tmp_path, images=IMAGES, labels=LABELS, class_names=names)
    assert "class_names is an array of Python objects" in refusal(path)


def test_refuses_a_broken_npz(tmp_path):
    path = npz(tmp_path, images=IMAGES, labels=LABELS)
    path.write_bytes(path.read_bytes()[:300])
    assert "is not a readable .npz file" in refusal(path)
    with path.open("wb") as file:
        np.save(file, IMAGES)
    assert "is not a readable .npz file" in refusal(path)
    assert "is not a readable .npz file" in refusal(tmp_path, format="npz")


def test_refuses_an_unknown_builtin():
    with pytest.raises(DataError, match=r"builtin:cats: .* use builtin:fashion-mnist-30$"):
        load_catalog(DataSpec(path="builtin:cats"))


def idx(array: np.ndarray) -> bytes:
    header = bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape)
    return header + array.astype(np.uint8).tobytes()


def idx_folder(folder: Path, *, zipped: bool, test: bool = True) -> Path:
    for prefix in ("train", "t10k") if test else ("train",):
        for name, array in (("images-idx3", IMAGES), ("labels-idx1", LABELS)):
            content = idx(array)
            path = folder / f"{prefix}-{name}-ubyte{'.gz' if zipped else ''}"
            path.write_bytes(gzip.compress(content) if zipped else content)
    return folder


@pytest.mark.parametrize("zipped", [True, False])
def test_idx(tmp_path, zipped):
    catalog = load(idx_folder(tmp_path, zipped=zipped), val_fraction=0.25, splits="ranked")
    assert catalog.class_names == ("0", "1", "2")
    assert [len(s) for s in (catalog.train, catalog.val, catalog.test)] == [9, 3, 12]
    assert [ref.label for ref in catalog.test] == LABELS.tolist()
    assert np.array_equal(pixels_of(catalog.test[4]), IMAGES[4])
    assert {r.name for r in catalog.val} <= {f"train-images[{i}]" for i in range(12)}


def test_idx_without_t10k(tmp_path):
    assert load(idx_folder(tmp_path, zipped=True, test=False)).test == ()


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("train-labels-idx1-ubyte", None, "has no train-labels-idx1-ubyte or"),
        ("t10k-images-idx3-ubyte", None, "has no t10k-images-idx3-ubyte or"),
        ("train-images-idx3-ubyte", idx(LABELS), "is not an idx file of unsigned bytes with 3"),
        ("train-labels-idx1-ubyte", b"\0\0", "is not an idx file of unsigned bytes with 1"),
        ("train-labels-idx1-ubyte", idx(LABELS)[:-1], "has 11 bytes of data, but its header"),
        ("train-labels-idx1-ubyte", idx(LABELS[:9]), "train-images has 12 images but"),
    ],
)
def test_refuses_idx_files_that_do_not_fit(tmp_path, name, content, sentence):
    path = idx_folder(tmp_path, zipped=False) / name
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    assert sentence in refusal(tmp_path)


@pytest.mark.parametrize("damage", [lambda c: c[:-20], lambda c: b"not gzip" + c])
def test_refuses_damaged_gz(tmp_path, damage):
    path = idx_folder(tmp_path, zipped=True) / "train-images-idx3-ubyte.gz"
    path.write_bytes(damage(path.read_bytes()))
    assert "ubyte.gz: cannot be read to its end" in refusal(tmp_path)


@pytest.mark.parametrize("name", ["x_valid", "x_dev", "y_validation", "x_testing", "val_images"])
def test_a_split_of_npz_under_another_name_is_refused(tmp_path, name):
    images, labels = np.zeros((4, 9, 9), np.uint8), np.arange(4) % 2
    said = refusal(npz(tmp_path, x_train=images, y_train=labels, **{name: images}))
    assert re.search(rf"{name} is not read; name it [xy]_(val|test)", said)


def test_arrays_that_are_not_read_are_named(tmp_path):
    images, labels = np.zeros((20, 9, 9), np.uint8), np.arange(20) % 2
    more = {"extra": np.arange(3), "weights": np.arange(2)}
    catalog = load(npz(tmp_path, images=images, labels=labels, **more))
    assert [each.text for each in catalog.passed] == ["2 arrays that are not read"]
    assert catalog.ignored == ("extra", "weights")


def test_files_beside_idx_are_named_or_refused(tmp_path):
    for split, n in (("train", 20), ("t10k", 4)):
        images, labels = np.zeros((n, 9, 9), np.uint8), (np.arange(n) % 2).astype(np.uint8)
        (tmp_path / f"{split}-images-idx3-ubyte").write_bytes(idx(images))
        (tmp_path / f"{split}-labels-idx1-ubyte").write_bytes(idx(labels))
    (tmp_path / "readme.txt").write_text("x")
    assert load_catalog(DataSpec(path=str(tmp_path))).ignored == ("readme.txt",)
    (tmp_path / "val-images-idx3-ubyte.gz").write_bytes(b"x")
    with pytest.raises(DataError, match=r"val-images-idx3-ubyte.gz: is not read"):
        load_catalog(DataSpec(path=str(tmp_path)))
