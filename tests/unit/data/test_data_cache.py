"""Decoding once: what comes out, what is kept, and what happens when it cannot be."""

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.unit.data.conftest import full_disk
from tlsearch.data import (
    Catalog,
    ImageRef,
    TrainingData,
    keep_names,
    load_catalog,
    load_training_data,
    read_once,
    watched_reading,
    what_changed,
)
from tlsearch.errors import DataError
from tlsearch.spec import DataSpec

SPLITS = ("train", "val", "test")
SENTINEL = 173  # the colour of test images


@pytest.fixture
def folder(make_folder: Callable[..., Path]) -> Path:
    """Two classes in three splits; images of train differ in size."""
    root = make_folder({f"{split}/{c}": 3 for split in SPLITS for c in "ab"})
    for name, size in (("train/a/000.png", (20, 10)), ("train/b/001.png", (10, 15))):
        with Image.open(root / name) as image:
            image.resize(size).save(root / name)
    for path in (root / "test").rglob("*.png"):
        Image.new("RGB", (12, 10), (SENTINEL,) * 3).save(path)
    return root


def catalog_of(folder: Path) -> Catalog:
    return load_catalog(DataSpec(path=str(folder)))


def cached(home: Path) -> list[Path]:
    return sorted((home / "tlsearch" / "datasets").iterdir())


def same(one: TrainingData, other: TrainingData) -> bool:
    return all(
        np.array_equal(getattr(getattr(one, split), name), getattr(getattr(other, split), name))
        for split in ("train", "val")
        for name in ("places", "sizes", "labels")
    ) and all(
        np.array_equal(mine, yours)
        for split in ("train", "val")
        for mine, yours in zip(
            getattr(one, split).pixels, getattr(other, split).pixels, strict=True
        )
    )


def test_each_image_is_in_the_top_left_corner_of_its_canvas(folder):
    catalog = catalog_of(folder)
    data = load_training_data(catalog, 16, 0.8)
    assert data.class_names == ("a", "b")
    assert data.fingerprint == catalog.fingerprint
    shapes = [(4, 20, 24, 3), (1, 20, 40, 3), (1, 30, 20, 3)]
    assert [canvas.shape for canvas in data.train.pixels] == shapes
    assert [canvas.shape for canvas in data.val.pixels] == [(6, 20, 24, 3)]
    assert data.train.labels.tolist() == [0, 0, 0, 1, 1, 1]
    assert data.train.sizes.tolist()[:2] == [[20, 40], [20, 24]]
    assert data.train.sizes[4].tolist() == [30, 20]
    types = [a.dtype for a in (data.train.pixels[0], data.train.sizes, data.train.labels)]
    assert types == [np.uint8, np.int32, np.int64]
    for index, (height, width) in enumerate(data.train.sizes):
        path = catalog.train[index].source
        assert isinstance(path, Path)
        with Image.open(path) as image:
            resized = image.resize((width, height), Image.Resampling.BICUBIC)
        expected = np.asarray(resized).astype(int)
        canvas, row = data.train.places[index]
        slot = data.train.pixels[canvas][row].astype(int)
        assert np.array_equal(slot[:height, :width], expected)
        assert np.array_equal(data.train.image(index), expected)
        assert slot.sum() == expected.sum()


def test_the_second_time_it_is_mapped_from_the_cache(folder, cache_home):
    catalog = catalog_of(folder)
    first = load_training_data(catalog, 16, 0.8)
    (path,) = cached(cache_home)
    stamp = path.stat().st_mtime_ns
    for images in (folder / "train", folder / "val"):
        for image in images.rglob("*.png"):
            image.unlink()
    second = load_training_data(catalog, 16, 0.8)
    assert all(isinstance(c, np.memmap) for c in (*first.train.pixels, *second.train.pixels))
    assert same(first, second)
    assert path.stat().st_mtime_ns == stamp
    assert not any(
        array.flags.writeable
        for data in (first, second)
        for split in (data.train, data.val)
        for array in (*split.pixels, split.places, split.sizes, split.labels)
    )


def test_other_sizes_and_other_data_are_kept_apart(folder, cache_home):
    load_training_data(catalog_of(folder), 16, 0.8)
    load_training_data(catalog_of(folder), 16, 1.0)
    Image.new("RGB", (12, 10)).save(folder / "val/a/000.png")
    changed = load_training_data(catalog_of(folder), 16, 0.8)
    assert len(cached(cache_home)) == 3
    assert changed.val.image(0).sum() == 0


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: content[:-1],
        lambda content: content[:-1] + bytes([content[-1] ^ 1]),
        lambda content: content[:60],
        lambda content: b"",
        lambda content: b"something else altogether",
        lambda content: content.replace(b'"U8"', b'"I8"', 1),
    ],
)
def test_a_damaged_cache_is_made_anew(folder, cache_home, damage):
    catalog = catalog_of(folder)
    first = load_training_data(catalog, 16, 0.8)
    (path,) = cached(cache_home)
    content = path.read_bytes()
    path.unlink()  # `first` maps this file
    path.write_bytes(damage(content))
    assert path.read_bytes() != content
    assert same(load_training_data(catalog, 16, 0.8), first)
    assert path.read_bytes() == content


def test_a_cache_that_cannot_be_written_is_done_without(folder, cache_home):
    catalog = catalog_of(folder)
    cache_home.mkdir()
    (cache_home / "tlsearch").write_text("a file where the folder should be")
    data = load_training_data(catalog, 16, 0.8)
    assert data.train.pixels.nbytes == 3 * (4 * 20 * 24 + 20 * 40 + 30 * 20)


def test_the_test_split_is_out_of_reach(folder):
    catalog = catalog_of(folder)
    for path in (folder / "test").rglob("*.png"):
        path.write_bytes(b"not to be opened")
    data = load_training_data(catalog, 16, 0.8)
    reached = list(parts(data))
    assert not any(isinstance(part, Catalog | ImageRef | Path) for part in reached)
    arrays = [part for part in reached if isinstance(part, np.ndarray) and part.ndim == 4]
    assert len(arrays) == 4
    for array in arrays:
        assert not (array == SENTINEL).all(axis=-1).any()


def parts(value: object):
    """Yield all that a record holds, however deep."""
    yield value
    if dataclasses.is_dataclass(value):
        for field in dataclasses.fields(value):
            yield from parts(getattr(value, field.name))
    elif isinstance(value, tuple):
        for item in value:
            yield from parts(item)


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def test_all_unreadable_images_are_told_at_once(folder):
    broken = ["train/a/001.png", "train/b/000.png", "val/a/000.png", "val/b/002.png"]
    broken += ["test/a/000.png", "test/b/000.png"]
    for name in broken:
        truncate(folder / name)
    (folder / "test/b/001.png").write_text("no image at all")
    catalog = catalog_of(folder)
    for refuse in (
        lambda: read_once(catalog, 16, 0.8),
        lambda: load_training_data(catalog, 16, 0.8),
    ):
        with pytest.raises(DataError) as caught:
            refuse()
        text = str(caught.value)
        assert text.startswith("7 images cannot be read: ")
        assert text.endswith(", and 2 more; replace or remove the broken files")
        assert all(f"{folder / name} (" in text for name in broken[:5])
        assert str(folder / broken[5]) not in text


@pytest.mark.parametrize(
    ("content", "reason"),
    [(b"", "is empty; copy or download it again"), (b"GIF89a", "not an image of a known format")],
)
def test_one_unreadable_test_image_is_found(folder, content, reason):
    path = folder / "test/a/000.png"
    path.write_bytes(content)
    catalog = catalog_of(folder)
    with pytest.raises(DataError) as caught:
        read_once(catalog, 16, 0.8)
    expected = f"1 image cannot be read: {path} ({reason}); replace or remove the broken files"
    assert str(caught.value) == expected
    load_training_data(catalog, 16, 0.8)


@pytest.mark.parametrize("format", ["jpeg", "png", "gif", "bmp", "tiff", "webp"])
def test_truncated_files_of_any_format_are_refused(folder, format):
    pixels = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    path = folder / "train/a/000.png"
    Image.fromarray(pixels).save(path, format=format)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(DataError, match=r"train/a/000\.png \(.+\); replace"):
        read_once(catalog_of(folder), 16, 0.8)


def test_decompression_bombs_are_refused(folder, monkeypatch):
    Image.new("RGB", (30, 20)).save(folder / "train/a/000.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 299)  # Pillow refuses twice as many
    with pytest.raises(DataError, match=r"1 image .*train/a/000\.png \(has too many pixels\)"):
        read_once(catalog_of(folder), 16, 0.8)


def test_files_that_vanish_are_told(folder):
    catalog = catalog_of(folder)
    (folder / "val/a/000.png").unlink()
    with pytest.raises(DataError, match=r"000\.png \(No such file or directory\)"):
        load_training_data(catalog, 16, 0.8)


def test_good_images_pass(folder):
    read_once(catalog_of(folder), 16, 0.8)


def test_a_full_disk_costs_the_cache_only(folder, cache_home):
    with full_disk():
        data = load_training_data(catalog_of(folder), 16, 0.8)
    assert data.train.pixels.nbytes == 3 * (4 * 20 * 24 + 20 * 40 + 30 * 20)
    assert cached(cache_home) == []


def test_images_are_decoded_once_for_check_create_and_worker(folder, monkeypatch):
    from tlsearch.data import decode as decoding

    decoded = []

    def opened(ref):
        decoded.append(ref.name)
        return real(ref)

    real = decoding._opened
    monkeypatch.setattr(decoding, "_opened", opened)
    first = read_once(catalog_of(folder), 16, 0.8)
    assert len(decoded) == len(set(decoded)) == len(first) == 18
    assert read_once(catalog_of(folder), 16, 0.8) == first
    data = load_training_data(catalog_of(folder), 16, 0.8)
    assert len(decoded) == 18
    assert [(look.height, look.width) for look in first[:2]] == [(10, 20), (10, 12)]
    Image.new("RGB", (5, 7)).save(folder / "test/a/000.png")  # not in the fingerprint
    again = read_once(catalog_of(folder), 16, 0.8)
    assert [
        (one.height, one.width) for one, other in zip(again, first, strict=True) if one != other
    ] == [(7, 5)]
    truncate(folder / "test/a/000.png")
    with pytest.raises(DataError, match="1 image cannot be read"):
        read_once(catalog_of(folder), 16, 0.8)
    assert same(load_training_data(catalog_of(folder), 16, 0.8), data)


def test_how_many_are_read_is_told(folder):
    told: list[tuple[int, int]] = []
    with watched_reading(lambda n, total: told.append((n, total))):
        catalog = catalog_of(folder)
        assert told == [(n, 12) for n in range(1, 13)]
        load_training_data(catalog, 16, 0.8)
    assert told[12:] == told[:12]
    load_training_data(catalog, 24, 0.8)
    assert len(told) == 24


def test_what_changed_is_known_where_the_images_were_seen(folder):
    before = catalog_of(folder)
    keep_names(before)
    assert what_changed(before, before.fingerprint) is None
    assert what_changed(before, "0" * 64) is None
    Image.new("RGB", (5, 7)).save(folder / "train/a/000.png")
    (folder / "train/a/001.png").unlink()
    (folder / "val/a/000.png").rename(folder / "val/a/new.png")
    Image.new("RGB", (5, 8)).save(folder / "test/a/more.png")
    assert what_changed(catalog_of(folder), before.fingerprint) == (
        "2 new (test/a/more.png, val/a/new.png), 2 gone (train/a/001.png, val/a/000.png), "
        "1 changed (train/a/000.png)"
    )
