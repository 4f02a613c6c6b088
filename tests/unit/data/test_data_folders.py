"""Folders of images: layouts, what is passed over, and what is refused."""

import os
import shutil
import socket
from pathlib import Path

import pytest

from tlsearch.data import Catalog, load_catalog
from tlsearch.errors import DataError
from tlsearch.spec import DataSpec


def load(root: Path, **keys: object) -> Catalog:
    return load_catalog(DataSpec.model_validate({"path": str(root), **keys}))


def names(refs) -> list[str]:
    return [ref.name for ref in refs]


def refusal(root: Path, **keys: object) -> str:
    with pytest.raises(DataError) as caught:
        load(root, **keys)
    text = str(caught.value)
    assert "\n" not in text
    return text


def test_one_tree_is_split_into_three(make_folder):
    catalog = load(make_folder({"dog": 10, "cat": 5}), splits="ranked")
    assert catalog.class_names == ("cat", "dog")
    assert [len(s) for s in (catalog.train, catalog.val, catalog.test)] == [9, 3, 3]
    assert all(ref.label == int(ref.name.startswith("dog/")) for ref in catalog.train)
    assert all(ref.source == make_folder({}) / ref.name for ref in catalog.val)


@pytest.mark.parametrize("val", ["val", "valid", "validation", "Val"])
def test_given_splits_are_kept(make_folder, val):
    counts = {f"train/{c}": 3 for c in "ab"} | {f"{val}/{c}": 2 for c in "ab"}
    catalog = load(make_folder(counts))
    assert names(catalog.train) == [f"train/{c}/00{i}.png" for c in "ab" for i in range(3)]
    assert names(catalog.val) == [f"{val}/{c}/00{i}.png" for c in "ab" for i in range(2)]
    assert catalog.test == ()


def test_val_is_carved_out_of_train_and_test_is_kept(make_folder):
    counts = {f"train/{c}": 10 for c in "ab"} | {f"test/{c}": 4 for c in "ab"}
    catalog = load(make_folder(counts), val_fraction=0.3, test_fraction=0.5, splits="ranked")
    assert len(catalog.train) == 14
    assert len(catalog.val) == 6
    assert all(ref.name.startswith("train/") for ref in catalog.train + catalog.val)
    assert names(catalog.test) == [f"test/{c}/00{i}.png" for c in "ab" for i in range(4)]


def test_train_alone_gives_val_but_no_test(make_folder):
    catalog = load(make_folder({"train/a": 5, "train/b": 5}))
    assert [len(s) for s in (catalog.train, catalog.val, catalog.test)] == [8, 2, 0]


def test_train_may_be_a_class(make_folder):
    catalog = load(make_folder({"train": 5, "bus": 5, "tram": 5}))
    assert catalog.class_names == ("bus", "train", "tram")


def test_hidden_is_skipped_and_other_files_are_listed(make_folder):
    root = make_folder({"a": 5, "b": 5, ".git": 1, "a/.thumbs": 1, "__MACOSX/a": 1})
    (root / "a" / "notes.txt").write_text("no image")
    (root / "README.md").write_text("no image")
    (root / "b" / ".DS_Store").write_text("hidden")
    catalog = load(root)
    assert catalog.class_names == ("a", "b")
    assert catalog.ignored == ("README.md", "a/notes.txt")
    assert len(catalog.train + catalog.val + catalog.test) == 10


def test_folders_beside_the_splits_are_listed(make_folder):
    root = make_folder({"train/a": 5, "train/b": 5, "extra/a": 1})
    assert load(root).ignored == ("extra/",)


def test_images_in_folders_inside_a_class_belong_to_it(make_folder):
    catalog = load(make_folder({"a/x": 3, "a/y/z": 3, "b": 5}))
    everything = catalog.train + catalog.val + catalog.test
    assert sum(ref.label == 0 for ref in everything) == 6


def test_extensions_of_any_case_count(make_folder):
    root = make_folder({"a": 5, "b": 5})
    (root / "a" / "000.png").rename(root / "a" / "000.PNG")
    assert "a/000.PNG" in names(sum((load(root).train, load(root).val, load(root).test), ()))


def test_the_order_in_which_files_were_made_does_not_matter(make_folder, tmp_path):
    root = make_folder({"b": 20, "a": 20})
    other = tmp_path / "elsewhere"
    for path in sorted(root.rglob("*.png"), reverse=True):
        target = other / path.relative_to(root)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)
    assert load(root) == load(other)  # fingerprint included; only the root differs
    assert names(load(root).train) == sorted(names(load(root).train))


def test_composed_and_decomposed_names_are_the_same(make_folder):
    composed = load(make_folder({"caf\u00e9": 5, "tea": 5}, "one"))
    root = make_folder({"caf\u00e9": 5, "tea": 5}, "two")
    (root / "caf\u00e9").rename(root / "cafe\u0301")
    assert load(root) == composed


def test_refuses_a_missing_path(tmp_path):
    assert "nowhere: no such file or folder" in refusal(tmp_path / "nowhere")


def test_refuses_a_file(tmp_path):
    (tmp_path / "data.txt").write_text("x")
    assert "data.txt: is not a folder" in refusal(tmp_path / "data.txt")


def test_refuses_an_empty_folder(tmp_path):
    (tmp_path / "empty").mkdir()
    assert "empty: has no class folders" in refusal(tmp_path / "empty")


def test_refuses_images_without_class_folders(make_folder):
    assert "has no class folders" in refusal(make_folder({".": 3}))
    assert "train: has no class folders" in refusal(make_folder({"train": 3, "val": 3}, "flat"))


def test_refuses_one_class(make_folder):
    assert "has 1 class ('cat'); at least two" in refusal(make_folder({"cat": 5}))


def test_refuses_an_empty_class(make_folder):
    assert "no image of the class 'dog' among the 5 images" in refusal(
        make_folder({"cat": 5, "dog": 0})
    )


def test_refuses_an_empty_class_of_val(make_folder):
    counts = {"train/a": 2, "train/b": 2, "val/a": 2, "val/b": 0}
    assert "no image of the class 'b' among the 2 val images" in refusal(make_folder(counts))


def test_refuses_a_class_too_small_to_split(make_folder):
    assert "the class 'b' has 1 image, too few" in refusal(make_folder({"a": 5, "b": 1}))


@pytest.mark.parametrize(
    ("counts", "sentence"),
    [
        ({"train/a": 1, "train/b": 1, "val/a": 1}, "train/ has the class 'b' but val/ does not"),
        (
            {"train/a": 1, "train/b": 1, "val/a": 1, "val/b": 1, "val/c": 1},
            "val/ has the class 'c' but train/ does not",
        ),
        (
            {"train/a": 9, "train/b": 9, "test/a": 1, "test/x": 1},
            "train/ has the class 'b' but test/ does not",
        ),
    ],
)
def test_refuses_splits_with_different_classes(make_folder, counts, sentence):
    assert sentence in refusal(make_folder(counts))


def test_refuses_val_without_train(make_folder):
    assert "has test/ but no train/" in refusal(make_folder({"val/a": 1, "test/a": 1}))


def test_refuses_two_val_folders(make_folder):
    counts = {f"{split}/{c}": 1 for split in ("train", "val", "valid") for c in "ab"}
    assert "has both val/ and valid/" in refusal(make_folder(counts))


def test_refuses_no_validation_images(make_folder):
    sentence = refusal(make_folder({"a": 5, "b": 5}), val_fraction=0.0)
    assert "there are no validation images; set data.val_fraction above 0" in sentence


def test_refuses_idx_where_there_is_none(make_folder):
    assert "no train-images-idx3-ubyte" in refusal(make_folder({"a": 5, "b": 5}), format="idx")


def test_pipes_sockets_and_devices_are_passed_over(make_folder):
    """Reading them would never end."""
    root = make_folder({"a": 5, "b": 5})
    os.mkfifo(root / "a" / "p.png")
    (root / "b" / "zero.png").symlink_to("/dev/zero")
    with socket.socket(socket.AF_UNIX) as open_socket:
        here = Path.cwd()
        os.chdir(root / "a")  # a path of a socket is short
        open_socket.bind("s.jpg")
        os.chdir(here)
    catalog = load(root)
    assert catalog.ignored == ("a/p.png", "a/s.jpg", "b/zero.png")
    assert len(catalog.train) + len(catalog.val) + len(catalog.test) == 10


def test_a_data_path_that_is_a_pipe(tmp_path):
    os.mkfifo(tmp_path / "x.npz")
    for format in ("auto", "npz", "idx", "folder"):
        assert "is neither a file nor a folder" in refusal(tmp_path / "x.npz", format=format)
