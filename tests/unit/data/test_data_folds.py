"""How images are divided into folds, and what is refused."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from tlsearch.data import Catalog, find_copies, load_catalog, load_training_data, read_once
from tlsearch.data.folds import hashed_folds
from tlsearch.errors import DataError, SpecError
from tlsearch.spec import DataSpec, parse_spec, to_toml_dict

PHOTOS = {"cat": 20, "dog": 30}


def load(path: Path, **keys: object) -> Catalog:
    return load_catalog(DataSpec.model_validate({"path": str(path), "folds": 5, **keys}))


def fold_of(catalog: Catalog) -> dict[str, str]:
    return {ref.name: fold for fold, ref in catalog.placed()}


def refusal(path: Path, **keys: object) -> str:
    with pytest.raises(DataError) as caught:
        load(path, **keys)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@given(
    counts=st.lists(st.integers(10, 30), min_size=2, max_size=4),
    n_folds=st.integers(2, 10),
    seed=st.integers(0, 2**31 - 1),
)
def test_each_class_is_in_each_fold_and_nothing_depends_on_the_order(counts, n_folds, seed):
    labels = [(label,) for label, n in enumerate(counts) for _ in range(n)]
    keys = [f"key {k}".encode() for k in range(len(labels))]
    found = hashed_folds(keys, labels, seed, n_folds)
    assert {(fold, label) for fold, (label,) in zip(found, labels, strict=True)} == {
        (fold, label) for fold in range(n_folds) for label in range(len(counts))
    }
    assert hashed_folds(keys[::-1], labels[::-1], seed, n_folds) == found[::-1]


def test_a_file_that_comes_or_goes_moves_no_other(make_folder):
    folder = make_folder(PHOTOS)
    before = fold_of(load(folder))
    assert len(before) == sum(PHOTOS.values()) - len(load(folder).test)
    for k in range(30, 40):
        Image.fromarray(np.full((12, 10, 3), k, np.uint8)).save(folder / f"dog/{k:03}.png")
    for name in ("dog/000.png", "cat/001.png"):
        (folder / name).unlink()
    after = fold_of(load(folder))
    both = before.keys() & after.keys()
    assert len(both) >= len(before) - 2
    assert {name: after[name] for name in both} == {name: before[name] for name in both}


def test_the_test_images_are_those_without_folds(make_folder):
    folder = make_folder(PHOTOS)
    with_folds, without = load(folder), load(folder, folds=0)
    assert with_folds.test == without.test
    assert {r.name for r in (*with_folds.train, *with_folds.val)} == {
        r.name for r in (*without.train, *without.val)
    }
    assert with_folds.fingerprint != without.fingerprint
    assert load(folder, val_fraction=0).n_validated == 50 - len(load(folder, val_fraction=0).test)


def test_ranked_folds_are_equal_shares(make_folder):
    catalog = load(make_folder(PHOTOS), splits="ranked", test_fraction=0)
    assert catalog.fold_sizes() == [10] * 5
    placed = Counter((fold, ref.label) for fold, ref in catalog.placed())
    assert set(placed.values()) == {4, 6}


def test_groups_and_copies_stay_together(make_folder):
    folder = make_folder({"p": 40}, "photos")
    (folder / "p/039.png").write_bytes((folder / "p/038.png").read_bytes())
    rows = [f"p/{k:03}.png,{'cat' if k % 4 < 2 else 'dog'},g{k // 2}" for k in range(36)]
    rows += [f"p/{k:03}.png,cat," for k in range(36, 40)]
    (folder / "all.csv").write_text("\n".join(["path,label,group", *rows]))
    folds = fold_of(load(folder / "all.csv", folds=3, test_fraction=0))
    assert all(folds[f"p/{k:03}.png"] == folds[f"p/{k + 1:03}.png"] for k in range(0, 36, 2))
    assert folds["p/038.png"] == folds["p/039.png"]
    assert set(folds.values()) == {"fold 1", "fold 2", "fold 3"}
    why = refusal(folder / "all.csv", folds=10, test_fraction=0)
    assert "the class 'dog' has 18 images in 9 groups" in why


def test_a_validation_split_of_the_data_is_pooled(make_folder):
    folder = make_folder(
        {"train/a": 6, "train/b": 6, "val/a": 3, "val/b": 3, "test/a": 2, "test/b": 2}
    )
    catalog = load(folder, folds=3)
    assert catalog.n_validated == 18
    assert [ref.name.split("/")[0] for ref in catalog.test] == ["test"] * 4
    assert {ref.name.split("/")[0] for ref in catalog.train} == {"train", "val"}


def test_too_few_images_of_a_class(make_folder):
    why = refusal(make_folder({"cat": 3, "dog": 30}), test_fraction=0)
    assert "the class 'cat' has 3 images for training and validation, too few" in why
    assert "data.folds = 5" in why


@pytest.mark.parametrize("folds", [1, 11, -2])
def test_numbers_that_are_no_folds(folds):
    document = {"name": "a", "data": {"path": "b", "folds": folds}, "backbone": {"model": "c"}}
    with pytest.raises(SpecError) as caught:
        parse_spec(document)
    assert list(caught.value.problems) == [f"data.folds = {folds}: must be 2 to 10, or 0 for none"]


def test_a_spec_without_folds_is_stored_as_before():
    document = {"name": "a", "data": {"path": "b"}, "backbone": {"model": "c"}}
    spec = parse_spec(document)
    assert spec.data.folds == 0
    assert "folds" not in to_toml_dict(spec)["data"]


def test_all_images_are_decoded_once_and_are_both_sets(make_folder):
    catalog = load(make_folder(PHOTOS))
    data = load_training_data(catalog, 8, 1.0)
    assert data.train is data.val
    assert len(data.train) == len(catalog.train) + len(catalog.val) == catalog.n_validated
    assert data.folds is not None
    assert data.folds.tolist() == list(catalog.folds or ())
    one, several = data.train.image(len(catalog.train)), len(data.train.pixels)
    assert (one.shape, several) == ((8, 9, 3), 2)
    last = [ref.label for ref in (*catalog.train, *catalog.val)]
    assert data.train.labels.tolist() == last


def test_images_of_two_folds_that_are_alike_are_a_leak(make_folder):
    folder = make_folder(PHOTOS)
    (folder / "dog/029.png").write_bytes((folder / "cat/000.png").read_bytes())
    catalog = load(folder, splits="ranked", test_fraction=0)  # by names, so copies are divided
    (copy,) = find_copies(catalog, read_once(catalog, 8, 1.0))
    places = fold_of(catalog)
    assert {copy.split, copy.first_split} == {places["dog/029.png"], places["cat/000.png"]}
    assert copy.leaks == (places["dog/029.png"] != places["cat/000.png"])
