"""Images that are there twice, spellings of a class, and the manifest without them."""

import csv
import io
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tlsearch.data import (
    Copy,
    find_copies,
    load_catalog,
    read_once,
    spelled_alike,
    write_clean_manifest,
)
from tlsearch.data.likeness import likeness_of
from tlsearch.errors import DataError
from tlsearch.spec import DataSpec

SPLITS = ("train", "val", "test")
EMOJI = Path("/work/shared/data/emoji")


def picture(seed: int) -> Image.Image:
    """A picture of coarse and fine detail, unlike that of any other seed."""
    rng = np.random.default_rng(seed)
    layers = [
        np.asarray(
            Image.fromarray(rng.integers(0, 256, (n, n, 3), dtype=np.uint8)).resize(
                (96, 80), Image.Resampling.BICUBIC
            ),
            dtype=float,
        )
        for n in (3, 6, 12, 24)
    ]
    return Image.fromarray((0.4 * layers[0] + 0.2 * sum(layers[1:])).astype(np.uint8))


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    root = tmp_path / "photos"
    for k, split in enumerate(SPLITS):
        for j, name in enumerate(("cat", "dog")):
            (root / split / name).mkdir(parents=True)
            for i in range(4):
                picture(100 * k + 10 * j + i).save(root / split / name / f"{i}.png")
    return root


def copies(path: Path, **keys: object) -> list[str]:
    return [copy.text for copy in found(path, **keys)]


def found(path: Path, **keys: object) -> tuple[Copy, ...]:
    catalog = load_catalog(DataSpec.model_validate({"path": str(path), **keys}))
    looks = read_once(catalog, 16, 1.0)
    assert read_once(catalog, 16, 1.0) == looks  # from the cache
    return find_copies(catalog, looks)


def test_images_of_their_own_are_no_copies(photos):
    assert copies(photos) == []


def test_the_same_content_is_named_within_and_across_splits(photos):
    shutil.copy(photos / "train/cat/0.png", photos / "train/cat/9.png")
    shutil.copy(photos / "test/dog/0.png", photos / "val/dog/8.png")
    shutil.copy(photos / "test/dog/0.png", photos / "train/cat/8.png")
    within, across, wrong = sorted(
        found(photos), key=lambda copy: not copy.same_class or copy.leaks
    )
    if across.split == "train":
        across, wrong = wrong, across
    assert within.text == "train: train/cat/9.png = train: train/cat/0.png"
    assert (within.leaks, within.same, within.same_class) == (False, True, True)
    assert across.text == "val: val/dog/8.png = test: test/dog/0.png"
    assert (across.leaks, across.same, across.same_class) == (True, True, True)
    assert wrong.text == "train: train/cat/8.png = test: test/dog/0.png"
    assert (wrong.leaks, wrong.same, wrong.same_class) == (True, True, False)


CHANGES: dict[str, Callable[[Image.Image, Path], None]] = {
    "jpeg": lambda image, path: image.save(path.with_suffix(".jpg"), quality=75),
    "half": lambda image, path: image.resize((48, 40)).save(path),
    "double": lambda image, path: image.resize((192, 160)).save(path),
    "palette": lambda image, path: image.quantize(256).save(path.with_suffix(".gif")),
    "turned": lambda image, path: image.transpose(Image.Transpose.ROTATE_90).save(
        path.with_suffix(".tif"), tiffinfo={0x0112: 6}
    ),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_changed_copies_look_alike(photos, change):
    for i in range(4):
        change(picture(i), photos / f"test/cat/copy{i}.png")
    firsts = [copy.first.name.partition(".")[0] for copy in found(photos) if not copy.same]
    assert firsts == [f"test/cat/copy{i}" for i in range(4)]
    assert [copy.image.name for copy in found(photos)] == [f"train/cat/{i}.png" for i in range(4)]


def test_other_colours_and_plain_images_are_told_apart(tmp_path):
    root = tmp_path / "plain"
    for name, colours in {"a": ("red", "white"), "b": ("blue", "black")}.items():
        (root / "train" / name).mkdir(parents=True)
        (root / "val" / name).mkdir(parents=True)
        for split, colour in zip(("train", "val"), colours, strict=True):
            Image.new("RGB", (20, 20), colour).save(root / split / name / "0.png")
    assert copies(root) == []
    Image.new("RGB", (40, 30), "red").save(root / "val/a/1.png")
    assert copies(root) == ["train: train/a/0.png ~ val: val/a/1.png"]


def test_the_hash_is_that_of_the_formula():
    """Against scipy's transform, on a picture that needs no thumbnail."""
    from scipy.fft import dctn

    small = Image.fromarray(np.random.default_rng(1).integers(0, 256, (32, 32, 3), dtype=np.uint8))
    low = dctn(np.asarray(small.convert("L"), dtype=float))[:8, :8].reshape(-1)
    bits = low > np.median(low[1:])
    assert likeness_of(small).hash == int("".join("01"[bit] for bit in bits.astype(int)), 2)


@pytest.mark.skipif(not EMOJI.is_dir(), reason="the emoji are not here")
def test_real_images_give_the_pairs_of_the_docs():
    copies = found(EMOJI, splits="ranked")
    assert sum(copy.same for copy in copies) == 5
    assert len(copies) == 31


def test_spellings_of_a_class():
    names = (
        "Cat",
        "cat ",
        "dog",
        "golden retriever",
        "Golden_Retriever",
        "\uff2bäse",
        "ka\u0308se",
        "-",
    )
    assert spelled_alike(names) == [
        ("Cat", "cat "), ("golden retriever", "Golden_Retriever"), ("\uff2bäse", "ka\u0308se"),
    ]  # fmt: skip


def clean(root, target, drop=False, **keys):
    spec = DataSpec.model_validate({"path": str(root), **keys})
    cleaned = write_clean_manifest(spec, target, drop)
    rows = list(csv.reader(io.StringIO(target.read_text(encoding="utf-8"), newline="")))
    assert rows[0][:3] == ["path", "label", "split"]
    return cleaned, rows[1:]


def spoil(photos: Path) -> None:
    (photos / "train/cat/1.png").write_bytes(b"rubbish")
    (photos / "val/dog/1.png").write_bytes(b"")
    (photos / "test/dog/2.png").write_bytes((photos / "test/dog/2.png").read_bytes()[:60])
    shutil.copy(photos / "test/cat/0.png", photos / "train/cat/7.png")
    shutil.copy(photos / "train/dog/0.png", photos / "train/dog/7.png")


def test_a_clean_manifest_leaves_out_what_is_damaged(photos, tmp_path):
    spoil(photos)
    target = tmp_path / "lists" / "clean.csv"
    target.parent.mkdir()
    cleaned, rows = clean(photos, target)
    assert len(cleaned.damaged) == 3
    assert "train/cat/1.png (not an image of a known format)" in cleaned.damaged[0]
    assert (len(cleaned.copies), cleaned.dropped) == (2, ())
    assert cleaned.images == {"train": 9, "val": 7, "test": 7}
    assert ["../photos/train/cat/0.png", "cat", "train"] in rows
    catalog = load_catalog(DataSpec(path=str(target)))
    assert [len(getattr(catalog, split)) for split in SPLITS] == [9, 7, 7]
    read_once(catalog, 16, 1.0)
    assert os.listdir(target.parent) == ["clean.csv"]


def test_without_duplicates_the_test_images_stay(photos, tmp_path):
    spoil(photos)
    shutil.copy(photos / "test/dog/0.png", photos / "val/cat/7.png")  # which label is right?
    cleaned, rows = clean(photos, tmp_path / "clean.csv", drop=True)
    assert set(cleaned.dropped) == {
        "train/cat/7.png", "train/dog/7.png", "test/dog/0.png", "val/cat/7.png"
    }  # fmt: skip
    assert len(rows) == 27 - 3 - 4
    assert found(tmp_path / "clean.csv") == ()


def test_groups_and_splits_stay_in_a_clean_manifest(photos, tmp_path):
    files = sorted(photos.rglob("*.png"))
    lines = ["file,label,group"]
    lines += [f"{f.relative_to(tmp_path)},{f.parent.name},g{k // 2}" for k, f in enumerate(files)]
    (tmp_path / "all.csv").write_text("\n".join(lines))
    keys = {"columns": {"path": "file"}, "split_seed": 3}
    before = load_catalog(DataSpec.model_validate({"path": str(tmp_path / "all.csv"), **keys}))
    _, rows = clean(tmp_path / "all.csv", tmp_path / "clean.csv", **keys)
    assert {len(row) for row in rows} == {4}
    after = load_catalog(DataSpec(path=str(tmp_path / "clean.csv")))
    assert (after.train, after.val, after.test) == (before.train, before.val, before.test)


def test_what_cannot_be_written_is_one_sentence(photos, tmp_path):
    (tmp_path / "there.csv").write_text("mine")
    for target, sentence in {
        tmp_path / "there.csv": "is there already; name a new file",
        tmp_path / "nowhere/a.csv": "cannot be written (No such file or directory)",
    }.items():
        with pytest.raises(DataError) as caught:
            clean(photos, target)
        assert sentence in str(caught.value)
    assert (tmp_path / "there.csv").read_text() == "mine"
    with pytest.raises(DataError, match="holds its images itself"):
        write_clean_manifest(DataSpec(path="builtin:fashion-mnist-30"), tmp_path / "b.csv", False)
    (photos / "train/cat/0.png").rename(photos / os.fsdecode(b"train/cat/\xff.png"))
    with pytest.raises(DataError, match="cannot hold the names"):
        clean(photos, tmp_path / "c.csv")
    assert not (tmp_path / "c.csv").exists()
