"""Data sets of Hugging Face on the disk, written as `datasets` 5.2 writes them."""

import io
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest
from PIL import Image

from tests.unit.data.made_files import png
from tlsearch.data import Catalog, load_catalog, load_training_data, read_once
from tlsearch.errors import DataError
from tlsearch.spec import DataSpec

FEATURES = {
    "image": {"_type": "Image"},
    "label": {"names": ["dog", "cat"], "_type": "ClassLabel"},
}
IMAGE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
SPLITS = ("train", "val", "test")


def load(path: Path, **keys: object) -> Catalog:
    return load_catalog(DataSpec.model_validate({"path": str(path), **keys}))


def refusal(path: Path, **keys: object) -> str:
    with pytest.raises(DataError) as caught:
        load(path, **keys)
    text = str(caught.value)
    assert "\n" not in text
    return text


def encoded(seed: int, form: str = "PNG") -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 256, (10, 12, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, form)
    return file.getvalue()


def table(start: int, n: int, label: Any = None, **more: Any) -> pa.Table:
    cells = [{"bytes": encoded(start + k), "path": f"{k}.png"} for k in range(n)]
    values = [k % 2 for k in range(n)] if label is None else label
    columns = {"image": pa.array(cells, IMAGE), "label": values, **more}
    return pa.table({name: column for name, column in columns.items() if column is not None})


def save(folder: Path, rows: pa.Table, features: Any = FEATURES, parts: int = 1) -> Path:
    """As `Dataset.save_to_disk`."""
    folder.mkdir(parents=True)
    names = [f"data-{k:05}-of-{parts:05}.arrow" for k in range(parts)]
    for k, name in enumerate(names):
        part = rows.slice(k * len(rows) // parts, len(rows) // parts)
        with pa.ipc.new_stream(str(folder / name), rows.schema) as writer:
            writer.write_table(part)
    state = {"_data_files": [{"filename": name} for name in names], "_split": None}
    (folder / "state.json").write_text(json.dumps(state))
    (folder / "dataset_info.json").write_text(json.dumps({"features": features}))
    return folder


def parquet(path: Path, rows: pa.Table, features: Any = FEATURES) -> Path:
    """As `Dataset.to_parquet`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps({"info": {"features": features}})
    pyarrow.parquet.write_table(rows.replace_schema_metadata({"huggingface": text}), path)
    return path


def saved(root: Path, splits: dict[str, int]) -> Path:
    """As `DatasetDict.save_to_disk`."""
    root.mkdir()
    (root / "dataset_dict.json").write_text(json.dumps({"splits": list(splits)}))
    for at, (name, n) in enumerate(splits.items()):
        save(root / name, table(1000 * at, n), parts=2)
    return root


def test_save_to_disk_with_its_splits(tmp_path):
    catalog = load(saved(tmp_path / "d", {"train": 12, "validation": 4, "test": 6}))
    assert catalog.class_names == ("dog", "cat")
    assert [len(getattr(catalog, split)) for split in SPLITS] == [12, 4, 6]
    assert [ref.name for ref in catalog.val] == [f"val[{k}]" for k in range(4)]
    assert [ref.label for ref in catalog.test] == [0, 1, 0, 1, 0, 1]
    images = load_training_data(catalog, 10, 1.0)
    expected = np.asarray(Image.open(io.BytesIO(encoded(1002))))
    assert np.array_equal(images.val.image(2), expected)
    read_once(catalog, 10, 1.0)


def test_parquet_exports_say_the_same(tmp_path):
    whole = load(saved(tmp_path / "d", {"train": 12, "test": 6}))
    for place in ("data/{}-00000-of-00001.parquet", "{}/0000.parquet"):
        root = tmp_path / place[:4].strip("{}/")
        parquet(root / place.format("train"), table(0, 12))
        parquet(root / place.format("test"), table(1000, 6))
        found = load(root, format="huggingface")
        assert found.fingerprint == whole.fingerprint
    assert load(tmp_path / "data").fingerprint == whole.fingerprint  # known by itself


def test_one_table_is_split(tmp_path):
    one = load(save(tmp_path / "one", table(0, 40)))
    assert sum(map(sum, one.counts().values())) == 40
    assert all(all(counts) for counts in one.counts().values())
    alone = load(parquet(tmp_path / "all.parquet", table(0, 40)))
    assert alone.fingerprint == one.fingerprint


def test_images_are_opened_as_files_are(tmp_path):
    twelve = png(tmp_path / "deep.png", np.full((8, 8, 3), 4095), 16, {b"sBIT": b"\x0c\x0c\x0c"})
    turned = np.zeros((8, 16, 3), np.uint8)
    turned[:, :8] = 255
    exif = Image.Exif()
    exif[0x0112] = 6
    file = io.BytesIO()
    Image.fromarray(turned).save(file, "PNG", exif=exif)
    rows = table(0, 12).to_pydict()
    rows["image"][0]["bytes"] = twelve.read_bytes()
    rows["image"][1]["bytes"] = file.getvalue()
    made = pa.table({"image": pa.array(rows["image"], IMAGE), "label": rows["label"]})
    (tmp_path / "d").mkdir()
    (tmp_path / "d/dataset_dict.json").write_text('{"splits": ["train", "test"]}')
    save(tmp_path / "d/train", made)
    save(tmp_path / "d/test", table(99, 4))
    catalog = load(tmp_path / "d", val_fraction=0.3)
    images = load_training_data(catalog, 8, 1.0)
    found = dict(zip([r.name for r in catalog.train], range(99), strict=False))
    values = dict(zip([r.name for r in catalog.val], range(99), strict=False))
    sets = {**{n: images.train.image(k) for n, k in found.items()}}
    sets |= {n: images.val.image(k) for n, k in values.items()}
    assert sets["train[0]"].min() == 255
    assert sets["train[1]"].shape == (16, 8, 3)
    assert (sets["train[1]"][0, 0, 0], sets["train[1]"][-1, 0, 0]) == (255, 0)


def test_labels_of_text_and_numbers(tmp_path):
    features = {"image": {"_type": "Image"}, "kind": {"_type": "Value", "dtype": "string"}}
    rows = table(0, 40, label=pa.nulls(40)).drop_columns(["label"])
    rows = rows.append_column("kind", pa.array([f"k{k % 3}" for k in range(40)]))
    path = save(tmp_path / "one", rows, features)
    assert load(path, columns={"label": "kind"}).class_names == ("k0", "k1", "k2")
    assert "it is not clear what the images and labels are; its columns are image (Image), kin" in (
        refusal(path)
    )
    assert "not clear" in refusal(path, columns={"label": "species"})


def test_images_beside_the_table(tmp_path):
    folder = tmp_path / "one"
    rows = table(0, 8).to_pydict()
    for k, cell in enumerate(rows["image"]):
        (tmp_path / f"{k}.png").write_bytes(cell["bytes"])
        cell |= {"bytes": None, "path": str(tmp_path / f"{k}.png")}
    made = pa.table({"image": pa.array(rows["image"], IMAGE), "label": rows["label"]})
    assert sum(map(sum, load(save(folder, made)).counts().values())) == 8
    (tmp_path / "3.png").unlink()
    said = refusal(folder)
    assert "all[3] names a file that is not there" in said
    assert "save the set with its images inside" in said


def test_what_does_not_fit_is_one_sentence(tmp_path):
    no_image = save(tmp_path / "a", table(0, 4), {"text": {"_type": "Value"}})
    assert "has no column of images; its columns are text" in refusal(no_image)
    no_label = save(tmp_path / "b", table(0, 4), {"image": {"_type": "Image"}})
    assert "it is not clear what the images and labels are" in refusal(no_label)
    gap = save(tmp_path / "c", table(0, 4, label=[0, 1, -1, 0]))
    assert "all[2] has no label; drop such rows" in refusal(gap)
    many = save(tmp_path / "c2", table(0, 4, label=[0, 1, 2, 0]))
    assert "all[2] has the label 2, and there are 2 names" in refusal(many)
    other = save(tmp_path / "c3", table(0, 4).rename_columns(["picture", "label"]))
    assert "a table lacks the column 'image' or 'label'" in refusal(other)
    plain = save(tmp_path / "c4", table(0, 4).set_column(0, "image", [[b"x"] * 4]))
    assert "the column 'image' holds no image files" in refusal(plain)
    odd = saved(tmp_path / "d", {"train": 4, "unsupervised": 4})
    assert "has the splits train, unsupervised; keep those" in refusal(odd)
    late = saved(tmp_path / "e", {"validation": 4, "test": 4})
    assert "has no split train" in refusal(late)
    (late / "dataset_dict.json").write_text("{")
    assert "cannot be read as JSON" in refusal(late)
    broken = save(tmp_path / "f", table(0, 4))
    (broken / "data-00000-of-00001.arrow").write_bytes(b"rubbish")
    assert "is damaged (" in refusal(broken)
    (broken / "data-00000-of-00001.arrow").unlink()
    assert "is damaged (" in refusal(broken)
    state = {"_data_files": [], "_indices_data_files": [{"filename": "x"}]}
    (broken / "state.json").write_text(json.dumps(state))
    assert "save it after flatten_indices" in refusal(broken)


def test_a_damaged_image_is_named(tmp_path):
    rows = table(0, 8).to_pydict()
    rows["image"][5]["bytes"] = b"rubbish"
    made = pa.table({"image": pa.array(rows["image"], IMAGE), "label": rows["label"]})
    catalog = load(save(tmp_path / "one", made))
    with pytest.raises(DataError, match=r"all\[5\] \(not an image of a known format\)"):
        read_once(catalog, 8, 1.0)


def test_without_pyarrow_it_is_one_sentence(tmp_path, monkeypatch):
    path = save(tmp_path / "one", table(0, 8))
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    assert "which needs pyarrow; install it (tlsearch[parquet])" in refusal(path)


def test_a_manifest_in_parquet_is_still_one(tmp_path, make_folder):
    make_folder({"p": 12}, "photos")
    names = [f"p/{k:03}.png" for k in range(12)]
    path = tmp_path / "photos/a.parquet"
    pyarrow.parquet.write_table(pa.table({"path": names, "label": ["a", "b"] * 6}), path)
    assert load(path).class_names == ("a", "b")
