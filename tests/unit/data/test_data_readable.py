"""Damaged files are left out up to a share, named and counted; above it there is one sentence."""

import pytest

from tlsearch.data import load_catalog, load_readable, load_training_data
from tlsearch.errors import DataError
from tlsearch.spec import DataSpec, RecipeSpec

RECIPE = RecipeSpec(image_size=16, eval_size=24)


@pytest.fixture
def folder(make_folder):
    """Forty files of two classes, three of them damaged in different ways."""
    root = make_folder({"cat": 20, "dog": 20})
    (root / "cat/003.png").write_bytes(b"")
    content = (root / "dog/005.png").read_bytes()
    (root / "dog/005.png").write_bytes(content[: len(content) // 2])
    (root / "dog/011.png").unlink()
    (root / "dog/011.png").symlink_to("nowhere.png")  # its content cannot be hashed either
    return root


def read(folder, share, **keys):
    return load_readable(DataSpec(path=str(folder), max_bad_fraction=share, **keys), RECIPE)


@pytest.mark.parametrize("splits", ["stable", "ranked"])
def test_a_few_are_left_out_and_named(folder, splits):
    found = read(folder, 0.08, splits=splits)
    catalog = found.catalog
    assert [name for name, _ in found.left_out] == ["cat/003.png", "dog/005.png", "dog/011.png"]
    assert "is empty" in found.left_out[0][1].reason
    assert len(catalog.train) + len(catalog.val) + len(catalog.test) == len(found.looks) == 37
    names = [name for name, _ in found.left_out]
    spec = DataSpec(path=str(folder), splits=splits)
    again = load_catalog(spec, catalog.fingerprint, names)
    assert again == catalog
    assert len(load_training_data(again, 16, RECIPE.eval_crop).train) == len(catalog.train)


def test_stable_splits_do_not_move(folder, make_folder):
    whole = load_catalog(DataSpec(path=str(make_folder({"cat": 20, "dog": 20}, "whole"))))
    kept = read(folder, 0.1).catalog
    for split in ("train", "val", "test"):
        names = {ref.name for ref in getattr(kept, split)}
        assert names < {ref.name for ref in getattr(whole, split)} or names == {
            ref.name for ref in getattr(whole, split)
        }


def test_more_than_the_share_is_one_sentence(folder):
    with pytest.raises(DataError) as caught:
        read(folder, 0.05)
    said = str(caught.value)
    assert "3 of 40 images cannot be read, and data.max_bad_fraction = 0.05 allows 2" in said
    assert "cat/003.png (is empty" in said
    assert "\n" not in said


def test_none_by_default(folder):
    with pytest.raises(DataError, match=r"set data\.max_bad_fraction"):
        read(folder, 0)
    assert DataSpec(path="x").max_bad_fraction == 0


def test_a_class_of_damaged_files_alone(make_folder):
    root = make_folder({"cat": 20, "dog": 3})
    for path in (root / "dog").iterdir():
        path.write_bytes(b"rubbish")
    with pytest.raises(DataError, match=r"no image of the class 'dog'.*; 3 images are left out"):
        read(root, 0.2)
