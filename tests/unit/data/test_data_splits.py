"""How images are divided, and the fingerprint that proves it."""

import hashlib
import os
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tlsearch.data import Catalog, ImageRef, load_catalog
from tlsearch.data.reading import Contents
from tlsearch.data.references import ALL, SourceImages
from tlsearch.data.splits import make_splits, shares
from tlsearch.errors import DataError
from tlsearch.spec import DataSpec, in_words_of, parse_spec, with_legacy_values

SPLITS = ("train", "val", "test")


def source(counts: dict[str, int]) -> SourceImages:
    refs = tuple(
        ImageRef(
            f"{name}/{index}", label, np.frombuffer(f"{name}{index:09}".encode(), np.uint8)[None]
        )
        for label, (name, count) in enumerate(counts.items())
        for index in range(count)
    )
    return SourceImages("here", tuple(counts), {ALL: refs})


def split_names(counts: dict[str, int], **keys: object) -> dict[str, list[str]]:
    spec = DataSpec.model_validate({"path": "here", **keys})
    splits = make_splits(source(counts), spec, Contents())
    return {split: [ref.name for ref in splits[split]] for split in SPLITS}


@given(
    counts=st.lists(st.integers(2, 40), min_size=2, max_size=4),
    val=st.floats(0.01, 0.9),
    test=st.floats(0, 0.9),
    seed=st.integers(0, 2**31 - 1),
)
def test_every_image_goes_to_one_split_and_every_class_is_shared_out(counts, val, test, seed):
    val, test = val * 0.5, test * 0.5
    by_name = {f"c{i}": n for i, n in enumerate(counts)}
    found = source(by_name)
    spec = DataSpec(path="here", val_fraction=val, test_fraction=test, split_seed=seed)
    stable = make_splits(found, spec, Contents())
    splits = make_splits(found, spec.model_copy(update={"splits": "ranked"}), Contents())
    for label, count in enumerate(counts):
        has = {split: any(ref.label == label for ref in stable[split]) for split in SPLITS}
        assert has == {"train": True, "val": True, "test": test > 0 and (count > 2 or has["test"])}
    assert sorted(ref.name for split in SPLITS for ref in stable[split]) == sorted(
        ref.name for ref in found.splits[ALL]
    )
    together = [ref.name for split in SPLITS for ref in splits[split]]
    assert sorted(together) == sorted(ref.name for ref in found.splits[ALL])
    for label, count in enumerate(counts):
        n = {split: sum(ref.label == label for ref in splits[split]) for split in SPLITS}
        assert n["train"] >= 1
        assert n["val"] >= 1
        assert n["test"] >= (1 if test > 0 and count > 2 else 0)
        assert test > 0 or n["test"] == 0
        assert abs(n["val"] - count * val) <= 1
        assert abs(n["test"] - count * test) <= 1


@pytest.mark.parametrize(
    ("n", "val", "test", "expected"),
    [
        (10, 0.2, 0.2, (2, 2)),
        (10, 0.01, 0.01, (1, 1)),
        (10, 0.5, 0.4, (5, 4)),
        (10, 0.9, 0.09, (8, 1)),
        (3, 0.6, 0.2, (1, 1)),
        (3, 0.9, 0.0, (2, 0)),
        (2, 0.5, 0.4, (1, 0)),
        (10, 0.0, 0.3, (0, 3)),
    ],
)
def test_shares_are_rounded_and_leave_something_for_all(n, val, test, expected):
    assert shares(n, val, test) == expected


def test_splits_keep_the_order_of_the_source():
    names = split_names({"a": 30, "b": 30})
    order = {ref.name: i for i, ref in enumerate(source({"a": 30, "b": 30}).splits[ALL])}
    for split in SPLITS:
        assert names[split] == sorted(names[split], key=order.__getitem__)


def test_the_seed_decides():
    counts = {"a": 30, "b": 30}
    assert split_names(counts) == split_names(counts)
    assert split_names(counts) != split_names(counts, split_seed=1)


def test_the_split_is_the_same_in_every_release():
    """A changed split would leave running studies without their data."""
    # of `printf 0/a/N | sha256sum`, the smallest
    assert split_names({"a": 6, "b": 6}, splits="ranked")["val"] == ["a/2", "b/0"]
    first = split_names({"a": 6, "b": 6}, train_per_class=1, splits="ranked")["train"]
    assert first == ["a/5", "b/1"]
    # of SHA-256(0/image/ + SHA-256(shape and pixels)), below a fifth and two fifths of 2^256
    stable = split_names({"a": 12, "b": 12})
    assert stable["val"] == ["a/2", "a/4", "a/6", "a/7", "a/10", "b/10"]
    assert stable["test"] == ["a/9", "b/1", "b/4", "b/5", "b/7", "b/8", "b/9", "b/11"]


def expected_stable(ref: ImageRef, seed: int, val: float, test: float) -> str:
    """The rule of docs/decisions/0015-stable-splits.md in other words."""
    key = b"image/" + hashlib.sha256(ref.content()).digest()
    place = int(hashlib.sha256(f"{seed}/".encode() + key).hexdigest(), 16) / 16**64
    return "val" if place < val else "test" if place < val + test else "train"


@given(seed=st.integers(0, 2**31 - 1), val=st.floats(0.1, 0.4), test=st.floats(0, 0.4))
def test_each_image_goes_by_itself(seed, val, test):
    counts = {"a": 60, "b": 80}  # so many that a split seldom lacks a class
    found = split_names(counts, split_seed=seed, val_fraction=val, test_fraction=test)
    at = {name: split for split in SPLITS for name in found[split]}
    hashed = {ref.name: expected_stable(ref, seed, val, test) for ref in source(counts).splits[ALL]}
    wrong = [name for name, split in hashed.items() if at[name] != split]
    there = {(name[0], split) for name, split in hashed.items()}
    wanted = {"val": val, "test": test}
    lacking = [
        (c, s) for c in counts for s, share in wanted.items() if share and (c, s) not in there
    ]
    assert len(wrong) <= len(lacking)  # what lacks a class is filled, and nothing else moves


def test_what_is_added_renamed_or_removed_moves_nothing(make_folder):
    root = make_folder({"cat": 40, "dog": 40})
    before = places(load(root))
    for k in range(0, 40, 4):
        (root / f"cat/{k:03}.png").unlink()
        (root / f"dog/{k:03}.png").rename(root / f"dog/new{k}.png")
    make_folder({"dog": 60, "owl": 30})
    after = places(load(root))
    both = before.keys() & after.keys()
    assert len(both) == 70
    assert {content: after[content] for content in both} == {c: before[c] for c in both}
    ranked = places(load(root, splits="ranked"))
    assert sum(ranked[c] != before[c] for c in both) > 10


def places(catalog: Catalog) -> dict[bytes, str]:
    return {ref.digest(): split for split in SPLITS for ref in getattr(catalog, split)}


def test_equal_images_stay_together(make_folder):
    root = make_folder({"cat": 30, "dog": 30})
    for k in range(30):
        shutil.copy(root / f"cat/{k:03}.png", root / f"cat/again{k}.png")
    catalog = load(root)
    assert len(places(catalog)) == 60
    found = [{ref.digest() for ref in getattr(catalog, split)} for split in SPLITS]
    assert sum(map(len, found)) == 60


def test_a_class_of_equal_images_is_divided_by_names(tmp_path):
    images, labels = np.zeros((20, 3, 3), np.uint8), np.arange(20) % 2
    np.savez(tmp_path / "a.npz", images=images, labels=labels)
    counts = load(tmp_path / "a.npz").counts()
    assert all(min(each) >= 1 for each in counts.values())


def test_a_study_of_an_earlier_version_keeps_its_splits(make_folder):
    """What is stored has no key for it; the catalog is that of then, to the bit."""
    root = make_folder({"cat": 13, "dog": 9})
    stored = {"path": str(root), "val_fraction": 0.3, "split_seed": 5}
    document = {"name": "a", "data": stored, "backbone": {"model": "resnet18"}}
    now, then = parse_spec(document), parse_spec(with_legacy_values(document))
    catalog = load_catalog(then.data)
    assert catalog.fingerprint == load(root, **stored | {"splits": "ranked"}).fingerprint
    assert catalog.fingerprint != load_catalog(now.data).fingerprint
    names = [f"cat/{k:03}.png" for k in range(13)]
    shuffled = sorted(names, key=lambda n: hashlib.sha256(f"5/{n}".encode()).digest())
    assert {r.name for r in catalog.val if r.label == 0} == set(shuffled[:4])
    assert load_catalog(in_words_of(then, now).data).fingerprint == catalog.fingerprint


def test_a_new_class_does_not_move_the_others():
    before, after = split_names({"b": 30, "c": 30}), split_names({"a": 9, "b": 30, "c": 30})
    for split in SPLITS:
        assert before[split] == [name for name in after[split] if not name.startswith("a/")]


def test_at_most_so_many_of_each_class():
    limits = {"train_per_class": 5, "val_per_class": 2, "test_per_class": 1}
    whole = split_names({"a": 40, "b": 20})
    few = split_names({"a": 40, "b": 20}, **limits)
    fewer = split_names({"a": 40, "b": 20}, **limits | {"train_per_class": 3})
    assert Counter(name[0] for name in few["train"]) == {"a": 5, "b": 5}
    assert [len(few[split]) for split in SPLITS] == [10, 4, 2]
    assert all(set(few[split]) <= set(whole[split]) for split in SPLITS)
    assert set(fewer["train"]) < set(few["train"])
    assert few["train"] != [n for c in "ab" for n in whole["train"] if n[0] == c][:5]


def test_a_limit_above_what_is_there_keeps_all():
    assert split_names({"a": 5, "b": 5}, train_per_class=99) == split_names({"a": 5, "b": 5})


def test_refuses_a_class_of_one_image_by_name():
    with pytest.raises(DataError, match=r"^here: the class 'b' has 1 image, too few for training"):
        split_names({"a": 9, "b": 1}, test_fraction=0.0)


def load(root: Path, **keys: object) -> Catalog:
    return load_catalog(DataSpec.model_validate({"path": str(root), **keys}))


@pytest.fixture
def splits_folder(make_folder: Callable[..., Path]) -> Path:
    return make_folder({f"{split}/{c}": 2 for split in SPLITS for c in "ab"})


def test_the_fingerprint_does_not_know_place_and_time(splits_folder, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(splits_folder, copy)
    for path in copy.rglob("*.png"):
        os.utime(path, (1, 1))
    assert load(copy).fingerprint == load(splits_folder).fingerprint
    assert len(load(copy).fingerprint) == 64


@pytest.mark.parametrize(
    ("name", "changes"),
    [("train/a/000.png", True), ("val/b/001.png", True), ("test/a/000.png", False)],
)
def test_the_fingerprint_knows_the_content_of_train_and_val(splits_folder, name, changes):
    before = load(splits_folder)
    with (splits_folder / name).open("ab") as file:
        file.write(b"x")
    assert (load(splits_folder).fingerprint != before.fingerprint) == changes


def test_the_fingerprint_knows_names_and_membership(splits_folder):
    found = {load(splits_folder).fingerprint}
    found.add(load(splits_folder, train_per_class=1).fingerprint)
    (splits_folder / "test/a/000.png").rename(splits_folder / "test/a/005.png")
    found.add(load(splits_folder).fingerprint)
    (splits_folder / "test/a/005.png").rename(splits_folder / "val/a/007.png")
    found.add(load(splits_folder).fingerprint)
    (splits_folder / "train/b/000.png").rename(splits_folder / "train/a/009.png")
    found.add(load(splits_folder).fingerprint)
    for split in SPLITS:
        (splits_folder / split / "a").rename(splits_folder / split / "A")
    found.add(load(splits_folder).fingerprint)
    assert len(found) == 6


def test_the_fingerprint_knows_the_shape_of_arrays(tmp_path):
    images = np.arange(48, dtype=np.uint8).reshape(8, 2, 3)
    np.savez(tmp_path / "a.npz", images=images, labels=np.arange(8) % 2)
    np.savez(tmp_path / "b.npz", images=images.reshape(8, 3, 2), labels=np.arange(8) % 2)
    assert load(tmp_path / "a.npz").fingerprint != load(tmp_path / "b.npz").fingerprint
