"""Several labels an image: how a manifest says them, how they are split, and what is refused."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tlsearch.data import Catalog, load_catalog, load_training_data, mixed_batches
from tlsearch.data.cleaning import write_clean_manifest
from tlsearch.data.hashed_splits import hashed_splits
from tlsearch.data.held_out import load_test_images
from tlsearch.data.reading import Contents
from tlsearch.data.references import ALL, TEST, TRAIN, VAL, ImageRef, SourceImages
from tlsearch.data.splits import make_splits
from tlsearch.errors import DataError, SpecError
from tlsearch.spec import DataSpec, RecipeSpec, parse_spec, to_toml_dict

CELLS = ("cat|dog", "dog", "", "bird | cat", "cat|cat", "bird")  # two rows of each
LABELS = ((1, 2), (2,), (), (0, 1), (1,), (0,))


@pytest.fixture
def photos(make_folder: Callable[..., Path]) -> Path:
    return make_folder({"p": 12}, "photos")


def table(photos: Path, cells: tuple[str, ...], between: str = ",", name: str = "m.csv") -> Path:
    lines = [between.join(("path", "label"))]
    lines += [between.join((f"p/{k:03}.png", cells[k % len(cells)])) for k in range(12)]
    path = photos / name
    path.write_text("\n".join(lines) + "\n")
    return path


def load(path: Path, columns: dict[str, object] | None = None, **keys: object) -> Catalog:
    document = {"path": str(path), "multi_label": True, "columns": columns or {}, **keys}
    return load_catalog(DataSpec.model_validate(document))


def refusal(path: Path, columns: dict[str, object] | None = None, **keys: object) -> str:
    with pytest.raises(DataError) as caught:
        load(path, columns, **keys)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def labels(catalog: Catalog) -> dict[str, object]:
    return {ref.name: ref.label for ref in (*catalog.train, *catalog.val, *catalog.test)}


EXPECTED = {f"p/{k:03}.png": LABELS[k % 6] for k in range(12)}


def test_every_form_says_the_same(photos):
    catalog = load(table(photos, CELLS))
    assert catalog.class_names == ("bird", "cat", "dog")
    assert catalog.multi_label
    assert labels(catalog) == EXPECTED
    assert {n: sum(c) for n, c in catalog.counts().items()} == {"bird": 4, "cat": 6, "dog": 4}
    semicolons = tuple(cell.replace("|", ";") for cell in CELLS)
    same = load(table(photos, semicolons, "\t"), {"label_separator": ";"})
    assert (same.fingerprint, labels(same)) == (catalog.fingerprint, EXPECTED)
    columns: dict[str, object] = {
        name: [number in LABELS[k % 6] for k in range(12)]
        for number, name in enumerate(catalog.class_names)
    }
    paths: dict[str, object] = {"path": [*EXPECTED]}
    named: dict[str, object] = {"labels": list(columns)}
    lists = [[catalog.class_names[k] for k in its] for its in EXPECTED.values()]
    for more, keys in ((columns, named), ({"label": lists}, None)):
        file = photos / f"{len(more)}.parquet"
        pyarrow.parquet.write_table(pa.table(paths | more), file)
        found = load(file, keys)
        assert (found.fingerprint, labels(found)) == (catalog.fingerprint, EXPECTED), keys


def test_labels_reach_the_images_as_zeros_and_ones(photos, tmp_path):
    catalog = load(table(photos, CELLS))
    for _ in range(2):  # decoded, and mapped from the cache
        images = load_training_data(catalog, 8, 1.0)
        for split, refs in ((images.train, catalog.train), (images.val, catalog.val)):
            hot = [[int(k in ref.classes) for k in range(3)] for ref in refs]
            assert split.labels.tolist() == hot
    recipe = RecipeSpec(image_size=16, eval_crop=1.0)
    assert load_test_images(catalog, recipe).labels.shape == (len(catalog.test), 3)
    target = tmp_path / "clean.csv"
    write_clean_manifest(
        DataSpec(path=str(photos / "m.csv"), multi_label=True), target, drop_duplicates=False
    )
    again = load(target)
    assert {Path(name).name: its for name, its in labels(again).items()} == {
        Path(name).name: its for name, its in EXPECTED.items()
    }


def test_mixed_images_have_a_share_of_the_labels_of_both():
    import torch

    own = torch.tensor([[1, 1, 0], [0, 0, 0], [0, 1, 1]])
    pixels = torch.zeros(3, 3, 8, 8)
    recipe = RecipeSpec(mixup=1.0, epochs=4, loss="cross_entropy")
    ((_, soft),) = mixed_batches([(pixels, own)], recipe, 3, 1)
    share = 1 - soft[1, 0]  # of an image without a label, mixed with the one before
    torch.testing.assert_close(soft[1], (1 - share) * own[0])
    assert 0 < share < 1


@settings(max_examples=15, deadline=None)
@given(data=st.data(), seed=st.integers(0, 1000))
def test_each_class_is_trained_on_and_one_image_more_moves_no_other(data, seed):
    some = st.lists(st.sets(st.integers(0, 4), max_size=3), min_size=30, max_size=60)
    rows = [tuple(sorted(row)) for row in data.draw(some)] + [(k,) for k in range(5)] * 2
    refs = tuple(
        ImageRef(f"{k}", row, np.array([[k]], np.uint8), group=f"g{k // 2}" if k % 3 else None)
        for k, row in enumerate(rows)
    )
    names = tuple("abcde")
    spec = DataSpec(path="here", multi_label=True, split_seed=seed)
    splits = make_splits(SourceImages("here", names, {ALL: refs}), spec, Contents())
    for k in range(5):
        assert any(k in ref.classes for ref in splits[TRAIN])
    for group in {ref.group for ref in refs} - {None}:
        where = [s for s in (TRAIN, VAL, TEST) if any(r.group == group for r in splits[s])]
        assert len(where) == 1
    keys = [ref.content() for ref in refs]
    before = hashed_splits(keys, rows, seed, 0.2, 0.2)
    after = hashed_splits([*keys, b"new"], [*rows, ()], seed, 0.2, 0.2)
    assert after[:-1] == before


def test_a_class_may_be_missing_where_nothing_is_trained(photos):
    lines = [f"p/{k:03}.png,{'ab'[k % 2]},{'train' if k < 6 else 'val'}" for k in range(12)]
    lines[0] = "p/000.png,a|c,train"
    path = photos / "m.csv"
    path.write_text("path,label,split\n" + "\n".join(lines))
    assert load(path).counts()["c"] == (1, 0, 0)
    path.write_text(
        path.read_text().replace("a|c,train", "a,train").replace("11.png,b", "11.png,c")
    )
    assert "labels that no training image has: 'c' (in val)" in refusal(path)


def test_what_does_not_fit_is_one_sentence(photos, make_folder):
    path = table(photos, CELLS)
    one: dict[str, Any] = {"multi_label": False}
    without_gaps = table(photos, tuple(cell or "cat" for cell in CELLS), name="full.csv")
    assert "has several labels in the column 'label': 'cat' and 'dog'; set" in refusal(
        without_gaps, **one
    )
    with_semicolons = table(photos, ("a;b", "a", "b"), "\t", "semi.tsv")
    assert 'data.columns.label_separator = ";"' in refusal(with_semicolons, **one)
    lists = photos / "lists.parquet"
    cells = {"path": [f"p/{k:03}.png" for k in range(12)], "label": [["a", "b"], ["a"]] * 6}
    pyarrow.parquet.write_table(pa.table(cells), lists)
    assert "row 1 has several labels" in refusal(lists, **one)
    assert load_catalog(
        DataSpec(path=str(table(photos, ("salt|pepper", "oil|vinegar"), name="n.csv")))
    ).class_names == ("oil|vinegar", "salt|pepper")
    folder = make_folder({"a": 6, "b": 6}, "folder")
    assert "has one class an image; data.multi_label = true needs a manifest" in refusal(folder)
    path.write_text("path,a,b\n" + "".join(f"p/{k:03}.png,{k % 2},0\n" for k in range(12)))
    assert "no training image has the label 'b'" in refusal(path, {"labels": ["a", "b"]})
    path.write_text("path,a,b\n" + "".join(f"p/{k:03}.png,{k % 3},1\n" for k in range(12)))
    assert "'2' (line 4)" in refusal(path, {"labels": ["a", "b"]})
    assert "has no column 'c'" in refusal(path, {"labels": ["a", "c"]})


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"multi_label": True, "splits": "ranked"}, 'splits = "ranked" takes an exact share'),
        ({"multi_label": True, "val_per_class": 3}, "val_per_class counts images of one class"),
        ({"columns": {"label_separator": ";"}}, "set data.multi_label = true"),
        ({"columns": {"labels": ["a", "b"]}}, "set data.multi_label = true"),
        ({"multi_label": True, "columns": {"labels": ["a"], "label": "x"}}, "one of the two forms"),
    ],
)
def test_a_spec_that_contradicts_itself_is_refused(keys, said):
    document = {"name": "a", "data": {"path": "x", **keys}, "backbone": {"model": "resnet18"}}
    with pytest.raises(SpecError, match=said):
        parse_spec(document)


def test_specs_of_one_label_are_stored_as_before():
    document = {"name": "a", "data": {"path": "x"}, "backbone": {"model": "resnet18"}}
    stored = to_toml_dict(parse_spec(document))["data"]
    assert not {"multi_label"} & stored.keys()
    assert stored["columns"] == {"path": "path", "label": "label"}
