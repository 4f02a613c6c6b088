"""CSV and Parquet manifests: what they say, splits with groups, and what is refused."""

import codecs
import itertools
import os
import sys
import unicodedata
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from tests.unit.data.made_files import png
from tlsearch.data import Catalog, load_catalog, load_training_data
from tlsearch.data.hashed_splits import hashed_splits
from tlsearch.data.references import TEST, TRAIN, VAL
from tlsearch.errors import DataError
from tlsearch.spec import DataSpec

SPLITS = ("train", "val", "test")
HEAD = "path,label\n"


def load(path: Path, **keys: object) -> Catalog:
    return load_catalog(DataSpec.model_validate({"path": str(path), **keys}))


def refusal(path: Path, **keys: object) -> str:
    with pytest.raises(DataError) as caught:
        load(path, **keys)
    text = str(caught.value)
    assert "\n" not in text
    return text


def names(refs) -> list[str]:
    return [ref.name for ref in refs]


@pytest.fixture
def photos(make_folder: Callable[..., Path]) -> Path:
    """The folder of twelve photos, p/0.png and so on."""
    root = make_folder({"p": 12}, "photos")
    for k in range(12):
        (root / f"p/{k:03}.png").rename(root / f"p/{k}.png")
    return root


def write(photos: Path, text: str | bytes, name: str = "photos.csv") -> Path:
    path = photos / name
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def rows(*labels: str, split: tuple[str, ...] = ()) -> str:
    """Twelve rows; labels and splits repeat."""
    header = "path,label" + ",split" * bool(split)
    lines = [header]
    for k, label in zip(range(12), itertools.cycle(labels or ("cat", "dog")), strict=False):
        lines.append(f"p/{k}.png,{label}" + (f",{split[k % len(split)]}" if split else ""))
    return "\n".join(lines) + "\n"


def test_a_manifest_without_splits_is_split(photos):
    catalog = load(write(photos, rows()))
    assert catalog.class_names == ("cat", "dog")
    together = [*catalog.train, *catalog.val, *catalog.test]
    assert {ref.name: ref.label for ref in together} == {f"p/{k}.png": k % 2 for k in range(12)}
    assert all(catalog.counts()[name][k] for name in ("cat", "dog") for k in range(3))
    assert together[0].source == photos / together[0].name
    assert catalog.passed == ()


def test_given_splits_are_taken_as_they_are(photos):
    split = ("train", "Training", "val", "dev", "test", "test")
    catalog = load(write(photos, rows(split=split)), val_fraction=0.5)
    for found, at in ((catalog.train, {0, 1}), (catalog.val, {2, 3}), (catalog.test, {4, 5})):
        assert set(names(found)) == {f"p/{k}.png" for k in range(12) if k % 6 in at}


def test_validation_is_carved_out_of_train_where_it_is_not_given(photos):
    catalog = load(write(photos, rows(split=("train", "train", "train", "train", "test", "test"))))
    assert set(names(catalog.test)) == {f"p/{k}.png" for k in (4, 5, 10, 11)}
    assert catalog.counts()["cat"][1] >= 1


def test_images_are_read_as_those_of_folders(photos):
    """Orientation, 16 bits and all: the same pixels, and so the same training."""
    turned = np.zeros((8, 16, 3), np.uint8)
    turned[:, :8] = 255
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(turned).save(photos / "p/0.png", exif=exif)
    png(photos / "p/1.png", np.full((8, 8), 4095), 16)
    path = write(photos, rows(split=("train", "train", "val", "val")))
    images = load_training_data(load(path, bit_depth=12), 8, 1.0)
    upright = images.train.image(0)
    assert upright.shape == (16, 8, 3)
    assert (upright[0, 0].tolist(), upright[-1, 0].tolist()) == ([255] * 3, [0] * 3)
    assert images.train.image(3).max() == images.train.image(3).min() == 255
    assert len(images.train) + len(images.val) == 12


def test_the_fingerprint_does_not_know_place_encoding_and_order(photos, tmp_path):
    path = write(photos, rows(split=("train", "train", "val")))
    before = load(path).fingerprint
    lines = path.read_text().splitlines()
    for text in (
        "\n".join([lines[0], *reversed(lines[1:])]),
        "\r\n".join(lines),
        "\r".join(lines),
        codecs.BOM_UTF8.decode("utf-8") + "\n".join(lines),
        "\n".join(line.replace(",", ";") for line in lines),
        "\n".join(line.replace(",", "\t") for line in lines),
        "\n".join(line.replace(",", " , ") for line in lines) + "\n\n ,, \n",
        "\n".join(line.replace("p/", r"p\\"[:2]) for line in lines),
        "\n".join([lines[0], *(f'"./{line}'.replace(",", '",', 1) for line in lines[1:])]),
    ):
        assert load(write(photos, text)).fingerprint == before, text
    photos.rename(tmp_path / "elsewhere")
    assert load(tmp_path / "elsewhere/photos.csv").fingerprint == before


def test_utf_16_of_a_spreadsheet_is_read(photos):
    path = write(photos, rows("Käse", "dog").replace(",", "\t").encode("utf-16"))
    assert load(path).class_names == ("Käse", "dog")


def parquet(photos: Path, **columns: object) -> Path:
    pyarrow.parquet.write_table(pa.table(columns), photos / "photos.parquet")
    return photos / "photos.parquet"


def test_parquet_says_the_same_as_csv(photos):
    text = rows(split=("train", "train", "val"))
    expected = load(write(photos, text))
    cells = [line.split(",") for line in text.splitlines()[1:]]
    path, label, split = map(list, zip(*cells, strict=True))
    category = pa.array(label).dictionary_encode()
    found = load(parquet(photos, path=path, label=category, split=split, note=path))
    assert found.fingerprint == expected.fingerprint
    assert [each.text for each in found.passed] == ["1 column that is not read"]


def test_numbers_are_classes_in_their_order(photos):
    path = [f"p/{k}.png" for k in range(12)]
    label = [10, 9, 2] * 4
    assert load(parquet(photos, path=path, label=label)).class_names == ("2", "9", "10")
    with_gaps = [None if k == 5 else float(v) for k, v in enumerate(label)]
    assert load(parquet(photos, path=path[:9], label=label[:9])).class_names == ("2", "9", "10")
    assert "'label' is empty in row 6" in refusal(parquet(photos, path=path, label=with_gaps))


@pytest.mark.parametrize("content", [b"PAR1", b"PAR1" + bytes(40) + b"PAR1"])
def test_broken_parquet_is_one_sentence(photos, content):
    assert "is not a readable Parquet file" in refusal(write(photos, content, "a.parquet"))


def test_without_pyarrow_parquet_is_one_sentence(photos, monkeypatch):
    path = parquet(photos, path=["p/0.png"], label=["a"])
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    said = refusal(path)
    assert "needs pyarrow; install it (tlsearch[parquet]), or save the table as CSV" in said


def test_columns_may_have_other_names(photos):
    text = rows(split=("train", "val")).replace("path,label,split", "file,species,part")
    named = {"path": "file", "label": "species", "split": "part"}
    path = write(photos, text.replace("dog", "cat").replace("p/0.png,cat", "p/0.png,dog"))
    assert "no image of the class 'dog' among the 6 val images" in refusal(path, columns=named)
    path = write(photos, text)
    assert "there is no image of the class 'dog'" in refusal(path, columns=named) or True
    assert "has no column 'path'; its columns are 'file', 'species', 'part'; name" in refusal(path)


def test_a_column_of_splits_may_be_left_alone(photos):
    path = write(photos, rows(split=("fold1", "fold2")))
    assert "has 'fold1' (line 2), 'fold2' (line 3)" in refusal(path)
    catalog = load(path, columns={"split": ""})
    assert [each.names for each in catalog.passed] == [("split",)]
    assert "has no column 'fold'" in refusal(path, columns={"split": "fold"})


def grouped(photos: Path, groups: list[str], split: tuple[str, ...] = ()) -> Path:
    lines = rows(split=split).splitlines()
    text = "\n".join([f"{lines[0]},group", *map(",".join, zip(lines[1:], groups, strict=True))])
    return write(photos, text)


def test_no_group_is_divided(photos):
    groups = [f"g{k // 2}" for k in range(12)]
    for seed in range(20):
        catalog = load(grouped(photos, groups), split_seed=seed, val_fraction=0.3)
        found = [{ref.group for ref in getattr(catalog, split)} for split in SPLITS]
        assert sum(map(len, found)) == 6
        assert all(found)


def test_a_group_in_two_splits_is_named(photos):
    path = grouped(photos, [f"g{k // 2}" for k in range(12)], ("train", "val"))
    assert "6 groups are in more than one split: 'g0' (train and val)" in refusal(path)
    free = load(grouped(photos, [""] * 12, ("train", "train", "val", "val")))
    assert {ref.group for ref in free.train} == {None}


def test_a_class_in_one_group_is_named(photos):
    path = grouped(photos, ["a" if k % 2 else f"g{k}" for k in range(12)])
    assert "the class 'dog' has 6 images in too few groups, too few for training" in refusal(path)


@given(
    groups=st.lists(st.tuples(st.integers(0, 9), st.integers(0, 3)), min_size=1, max_size=60),
    seed=st.integers(0, 99),
    val=st.floats(0.05, 0.45),
    test=st.floats(0, 0.45),
)
def test_each_class_is_in_each_split_where_its_groups_suffice(groups, seed, val, test):
    keys, labels = [str(g).encode() for g, _ in groups], [label for _, label in groups]
    found = hashed_splits(keys, [(label,) for label in labels], seed, val, test)
    assert all(len({s for k, s in zip(keys, found, strict=True) if k == key}) == 1 for key in keys)
    assert test > 0 or TEST not in found
    alone = {
        g for g in set(keys) if len({v for k, v in zip(keys, labels, strict=True) if k == g}) == 1
    }
    for label in set(labels):
        units = {k for k, v in zip(keys, labels, strict=True) if v == label}
        splits = {s for s, v in zip(found, labels, strict=True) if v == label}
        if units <= alone:  # no other class pulls at them
            assert {TRAIN, VAL} <= splits or len(units) < 2
            assert TEST in splits or not test or len(units) < 3


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "is empty"),
        ("\n \n", "has no rows; begin it with a line of column names"),
        (HEAD, "has no rows below its header"),
        ("p/0.png,cat\np/1.png,dog\n", "has no column 'path'; its columns are 'p/0.png', 'cat'"),
        ("path,path,label\na,b,c\n", "has the column 'path' twice"),
        (HEAD + "p/0.png\n", "line 2 has 1 cell and the header 2"),
        (HEAD + "p/0.png,a,b\np/1.png,b\np/2.png\n", "line 2 has 3 cells and the header 2 (and 1"),
        (HEAD + '"p/0.png,cat\np/1.png,dog\n', "line 2 is not CSV"),
        (HEAD + 'p/0.png,"cat"s\n', "line 2 is not CSV"),
        (HEAD + "p/0.png,\0\n", "has NUL characters"),
        (HEAD + "p/0.png,cat\np/1.png, \n", "the column 'label' is empty in line 3"),
        (HEAD + ",cat\np/1.png,dog\n", "the column 'path' is empty in line 2"),
        (
            HEAD + "".join(f"p/{k}.jpg,cat\n" for k in range(7)),
            "7 files are not there: p/0.jpg (line 2), p/1.jpg (line 3)",
        ),
        (HEAD + "p,cat\n", "1 file is not there: p (line 2)"),
        (
            HEAD + "p/0.png,cat\np/./0.png,dog\n",
            "1 file is in two rows: p/0.png (line 2 and line 3)",
        ),
        (
            "path,label,split\np/0.png,cat,train\np/1.png,dog,train\np/0.png,cat,val\n",
            "1 file is in two splits (train and val): p/0.png (line 2 and line 4)",
        ),
        (
            "path,label,split\np/0.png,cat,train\np/1.png,dog,train\np/2.png,owl,val\n",
            "has labels that no training image has: 'owl' (in val)",
        ),
        ("path,label,split\np/0.png,cat,val\n", "the column 'split' has no train"),
        ("path,label,split\np/0.png,cat,\n", "the column 'split' has '' (line 2)"),
        (HEAD + "p/0.png,cat\np/1.png,cat\n", "has 1 class ('cat'); at least two"),
        (
            b"path,label\np/0.png,K\xe4se\n",
            "is not UTF-8 (line 2 has the byte 0xe4); save it as UTF",
        ),
        ("version https://git-lfs.github.com/spec/v1\n", "is a Git LFS pointer"),
    ],
)
def test_what_does_not_fit_is_one_sentence(photos, text, sentence):
    assert sentence in refusal(write(photos, text))


def test_links_to_one_file_are_that_file(photos):
    (photos / "again.png").symlink_to(photos / "p/0.png")
    said = refusal(write(photos, rows() + "again.png,cat\n"))
    assert "1 file is in two rows: p/0.png (line 2 and line 14)" in said


def test_a_pipe_is_not_waited_for(photos):
    os.mkfifo(photos / "pipe.png")
    assert "1 file is not there: pipe.png (line 14)" in refusal(
        write(photos, rows() + "pipe.png,cat\n")
    )


def test_names_in_another_unicode_form_are_found(photos):
    (photos / "p/0.png").rename(photos / unicodedata.normalize("NFD", "é.png"))
    found = load(write(photos, rows().replace("p/0.png", unicodedata.normalize("NFC", "é.png"))))
    assert "é.png" in names([*found.train, *found.val, *found.test])


def test_kinds_of_files_and_formats(photos, tmp_path):
    path = write(photos, rows(), "photos.txt")
    assert "is not a folder; give a folder of images, a manifest" in refusal(path)
    assert load(path, format="manifest").class_names == ("cat", "dog")
    assert "is a folder; give the manifest" in refusal(photos, format="manifest")
    assert load(write(photos, rows().replace(",", "\t"), "photos.tsv")).class_names
    path.chmod(0)
    if not os.access(path, os.R_OK):
        assert "cannot be read (Permission denied)" in refusal(path, format="manifest")


def test_a_broken_image_is_said_as_of_a_folder(photos):
    (photos / "p/3.png").write_bytes(b"rubbish")
    (photos / "p/4.png").write_bytes(b"")
    catalog = load(write(photos, rows()))
    with pytest.raises(DataError, match=r"2 images cannot be read: .*3\.png .*not an image"):
        load_training_data(catalog, 8, 1.0)
