"""No image is lost and no split mistaken without a word."""

import os
import unicodedata
from pathlib import Path

import pytest
from PIL import Image

from tests.unit.data.test_data_folders import load, names, refusal
from tlsearch.data import Catalog, load_catalog
from tlsearch.data.split_names import split_of
from tlsearch.errors import DataError
from tlsearch.spec import DataSpec

CLASSES = ("cat", "dog", "owl")


def files_in(root: Path) -> int:
    return sum(len(files) for _, _, files in os.walk(root))


def found_in(catalog: Catalog) -> int:
    return len(catalog.train) + len(catalog.val) + len(catalog.test)


def passed(catalog: Catalog) -> dict[str, int]:
    return {each.kind.many: each.n_files for each in catalog.passed}


def splits(*folders: str, n: int = 5) -> dict[str, int]:
    return {f"{folder}/{name}": n for folder in folders for name in CLASSES}


def sizes(catalog: Catalog) -> tuple[int, int, int]:
    return len(catalog.train), len(catalog.val), len(catalog.test)


@pytest.mark.parametrize(
    ("name", "split"),
    [
        ("train", "train"), ("Training", "train"), ("train_set", "train"), ("trainset", "train"),
        ("TrainSet", "train"), ("01_train", "train"), ("train2017", "train"), ("trn", "train"),
        ("images_train", "train"), ("train-images", "train"), ("training data", "train"),
        ("val", "val"), ("valid", "val"), ("Validation", "val"), ("validation_set", "val"),
        ("dev", "val"), ("eval", "val"), ("evaluation", "val"), ("valset", "val"),
        ("dev-set", "val"),
        ("test", "test"), ("testing", "test"), ("TestImages", "test"), ("hold-out", "test"),
        ("held_out", "test"), ("test.set", "test"), ("testdata", "test"),
        ("cat", None), ("trains", None), ("trainer", None), ("testA", None), ("images", None),
        ("protest", None), ("validator", None), ("train_test", None), ("device", None), ("", None),
        ("evaluator", None), ("developer", None), ("set", None), ("2017", None),
    ],
)  # fmt: skip
def test_names_of_splits(name, split):
    assert split_of(name) == split


@pytest.mark.parametrize("train", ["training", "Train_Set", "trainset", "train_images", "01-train"])
@pytest.mark.parametrize("val", ["validation", "dev", "eval", "val_set", "02-Valid"])
@pytest.mark.parametrize("test", ["testing", "test_set", "holdout"])
def test_splits_of_many_names(make_folder, train, val, test):
    catalog = load(make_folder(splits(train) | splits(val, n=2) | splits(test, n=3)))
    assert catalog.class_names == CLASSES
    assert sizes(catalog) == (15, 6, 9)
    assert catalog.passed == ()


@pytest.mark.parametrize("test", ["testing", "test_set", "unseen"])
def test_train_and_test_of_other_names(make_folder, test):
    catalog = load(make_folder(splits("training") | splits(test)), val_fraction=0.2)
    assert sizes(catalog) == (12, 3, 15)


@pytest.mark.parametrize(
    "folders", [("fold1", "fold2"), ("a", "b", "c"), ("part_1", "part_2"), ("check", "learn")]
)
def test_folders_of_the_same_names_are_never_classes(make_folder, folders):
    said = refusal(make_folder(splits(*folders)))
    assert f"{folders[0]}/ and {folders[1]}/ hold folders of the same names (cat, dog, owl)" in said
    assert 'name the splits train/, val/ and test/, or set data.format = "classes"' in said


def test_nor_where_one_split_lacks_a_class_or_holds_an_image(make_folder):
    root = make_folder(splits("x", "y") | {"x": 1, "x/eel": 3})
    assert "x/ and y/ hold folders of the same names" in refusal(root)


def test_unless_the_spec_says_so(make_folder):
    catalog = load(make_folder(splits("day", "night")), format="classes")
    assert catalog.class_names == ("day", "night")
    assert found_in(catalog) == 30
    catalog = load(make_folder(splits("train", "test"), "named"), format="classes")
    assert catalog.class_names == ("test", "train")


def test_folders_of_the_same_names_beside_images_belong_to_classes(make_folder):
    counts = {f"{name}/{day}": 3 for name in CLASSES for day in ("day1", "day2")}
    catalog = load(make_folder(counts | dict.fromkeys(CLASSES, 4)))
    assert catalog.class_names == CLASSES
    assert found_in(catalog) == 30


def test_one_folder_in_each_class_is_no_split(make_folder):
    catalog = load(make_folder({f"{name}/photos": 5 for name in CLASSES}))
    assert catalog.class_names == CLASSES


def test_a_split_of_an_unknown_name_beside_train(make_folder):
    said = refusal(make_folder(splits("train", "second")))
    assert "second/ holds the same folders as train/ (cat, dog, owl)" in said
    assert "name it val/ or test/, or move it away" in said


def test_splits_inside_of_the_classes(make_folder):
    counts = {f"{name}/{split}": 4 for name in CLASSES for split in ("train", "val")}
    assert "cat/ holds the splits train, val; put the splits on top" in refusal(make_folder(counts))


def test_one_folder_around_the_classes(make_folder):
    root = make_folder({f"images/{name}": 5 for name in CLASSES})
    assert f"set data.path to {root / 'images'}" in refusal(root)


def test_a_class_may_be_called_training(make_folder):
    counts = {"training/gym": 3, "training/run": 3, "cooking/soup": 3, "cooking/cake": 3}
    assert load(make_folder(counts)).class_names == ("cooking", "training")
    counts = {"training": 5, "testing": 5, "repair": 5}
    assert load(make_folder(counts, "flat")).class_names == ("repair", "testing", "training")


def test_two_folders_of_one_split(make_folder):
    assert "has both dev/ and validation/" in refusal(
        make_folder(splits("train", "dev", "validation"))
    )
    assert "has both train/ and training/" in refusal(make_folder(splits("train", "training"), "x"))


def test_linked_folders_belong_to_their_class(make_folder):
    root = make_folder({"cat": 4, "dog": 4})
    store = make_folder({"cat/deep": 10, "dog": 10}, "store")
    for name in ("cat", "dog"):
        (root / name / "day2").symlink_to(store / name)
    catalog = load(root)
    assert found_in(catalog) == 28
    assert catalog.passed == ()
    assert "cat/day2/deep/000.png" in names(catalog.train + catalog.val + catalog.test)


def test_classes_of_links_alone(make_folder):
    root = make_folder({"cat": 0, "dog": 0})
    store = make_folder({"cat": 10, "dog": 10}, "store")
    for name in ("cat", "dog"):
        (root / name / "day2").symlink_to(store / name)
    assert sizes(load(root, splits="ranked")) == (12, 4, 4)


def test_linked_classes_and_splits(make_folder):
    store = make_folder({"cat": 5, "dog": 5}, "store")
    root = make_folder({"all": 0})
    (root / "all").rmdir()
    for name in ("cat", "dog"):
        (root / name).symlink_to(store / name)
    assert found_in(load(root)) == 10
    both = make_folder({"train": 0}, "both")
    (both / "train").rmdir()
    (both / "train").symlink_to(store)
    (both / "val").symlink_to(store)
    assert sizes(load(both)) == (10, 10, 0)


@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    "target", ["..", "../..", ".", "../dog", "../../images/cat", "../dog/loop"]
)
def test_a_cycle_of_links_ends(make_folder, target):
    root = make_folder({"cat": 5, "dog": 5})
    (root / "dog" / "loop").symlink_to("../cat/loop")
    (root / "cat" / "loop").symlink_to(target)
    catalog = load(root)
    assert found_in(catalog) == 10
    assert "cat/loop/" in catalog.ignored or "cat/loop" in catalog.ignored


def test_a_class_that_links_to_all(make_folder):
    root = make_folder({"cat": 5, "dog": 5})
    (root / "everything").symlink_to(".")
    catalog = load(root)
    assert catalog.class_names == ("cat", "dog")
    assert catalog.ignored == ("everything/",)


def test_a_folder_that_is_linked_twice_is_read_once(make_folder):
    root, store = make_folder({"cat": 5, "dog": 5}), make_folder({"more": 7}, "store")
    (root / "cat" / "one").symlink_to(store / "more")
    (root / "dog" / "two").symlink_to(store / "more")
    catalog = load(root)
    assert found_in(catalog) == 17
    assert catalog.ignored == ("dog/two/",)
    assert [each.text for each in catalog.passed] == ["1 link to a folder that is read already"]


def test_links_that_lead_nowhere(make_folder):
    root = make_folder({"cat": 5, "dog": 5})
    (root / "cat" / "day3").symlink_to("/nowhere")
    assert passed(load(root)) == {"links that lead nowhere": 1}
    (root / "cat" / "x.jpg").symlink_to("/nowhere.jpg")
    assert "x.jpg (No such file or directory)" in refusal(root)


def test_class_names_that_differ_in_unicode_form_are_one(make_folder):
    one, other = "caf\u00e9", "cafe\u0301"
    root = make_folder({one: 5, other: 6, "tea": 5})
    (root / other / "000.png").unlink()
    catalog = load(root)
    assert catalog.class_names == (one, "tea")
    assert found_in(catalog) == 15
    assert len({ref.name for ref in catalog.train + catalog.val + catalog.test}) == 15


def test_files_that_differ_in_unicode_form_are_two(make_folder):
    root = make_folder({"a": 5, "b": 5})
    for form in ("NFC", "NFD"):
        name = unicodedata.normalize(form, "\u00e9\u00e8.png")
        Image.new("RGB", (9, 9), len(name)).save(root / "a" / name)
    catalog = load(root)
    every = names(catalog.train + catalog.val + catalog.test)
    assert len(set(every)) == found_in(catalog) == files_in(root) == 12


FOREIGN = [
    "@eaDir",
    "#recycle",
    "$RECYCLE.BIN",
    "lost+found",
    "__MACOSX",
    "System Volume Information",
]


@pytest.mark.parametrize("name", FOREIGN)
def test_folders_of_other_programs(make_folder, name):
    counts = {"a": 5, "b": 5, name: 2, f"{name}/x": 1, f"a/{name}": 3}
    catalog = load(make_folder(counts))
    assert catalog.class_names == ("a", "b")
    assert passed(catalog) == {"files of other programs": 6}
    split = make_folder(splits("train", "val") | {name: 2, f"train/{name}": 1}, "split")
    assert passed(load(split)) == {"files of other programs": 3}


def test_every_file_is_counted_or_named(make_folder):
    root = make_folder({"cat": 9, "dog": 5, "dog/deep/er": 3, ".git/x": 4, "cat/@eaDir": 2})
    for name in (
        "readme.txt", "loose.png", "cat/a.HEIC", "cat/b.heif", "dog/c.dng", "dog/d.jxl",
        "cat/e.txt",
        "dog/f.mp4", "dog/g.dcm", "cat/Thumbs.db", "cat/.DS_Store", "cat/h.svg", "cat/i.zip",
    ):  # fmt: skip
        (root / name).write_bytes(b"x")
    (root / "cat" / "000.png").rename(root / "cat" / "IMG_0001")
    catalog = load(root)
    assert passed(catalog) == {
        "HEIC photos": 2,
        "JPEG XL images": 1,
        "raw photos": 1,
        "DICOM files": 1,
        "drawings": 1,
        "videos": 1,
        "archives": 1,
        "images without the ending of one": 1,
        "images beside the class folders": 1,
        "files that are no images": 2,
        "files of other programs": 3,
        "hidden files": 5,
    }
    assert found_in(catalog) + sum(each.n_files for each in catalog.passed) == files_in(root)
    assert sum(map(sum, catalog.counts().values())) == found_in(catalog) == 16
    heic = next(each for each in catalog.passed if each.kind.one == "HEIC photo")
    assert heic.names == ("cat/a.HEIC", "cat/b.heif")
    assert "install pillow-heif" in heic.kind.advice


def test_a_class_of_photos_that_cannot_be_opened_says_so(make_folder):
    root = make_folder({"cat": 20, "dog": 4})
    for path in (root / "dog").iterdir():
        path.rename(path.with_suffix(".HEIC"))
    said = refusal(root)
    assert "there is no image of the class 'dog' among the 20 images" in said
    assert "passed over were 4 HEIC photos (install pillow-heif, or save them as JPEG)" in said


def test_a_study_of_version_0_2_reads_its_folder_as_it_did(make_folder):
    """Its fingerprint says which reading it was created with."""
    root = make_folder(splits("fold1", "fold2"))
    spec = DataSpec(path=str(root))
    classes = load_catalog(spec.model_copy(update={"format": "classes"}))
    with pytest.raises(DataError):
        load_catalog(spec)
    with pytest.raises(DataError, match="same names"):
        load_catalog(spec, "another fingerprint")
    assert load_catalog(spec, classes.fingerprint) == classes

    linked = make_folder({"cat": 4, "dog": 4}, "linked")
    before = load(linked)
    (linked / "cat" / "more").symlink_to(root / "fold1" / "cat")
    spec = DataSpec(path=str(linked))
    assert found_in(load_catalog(spec)) == 13
    assert load_catalog(spec, before.fingerprint).train == before.train
    assert found_in(load_catalog(spec, "another fingerprint")) == 13


@pytest.mark.timeout(60)
def test_pipes_beside_the_classes_are_not_opened(make_folder):
    root = make_folder({"cat": 5, "dog": 5})
    for name in ("pipe", "pipe.png", "cat/pipe"):
        os.mkfifo(root / name)
    (root / "cat" / "zero").symlink_to("/dev/zero")
    catalog = load(root)
    assert found_in(catalog) == 10
    assert passed(catalog) == {"pipes, sockets and devices": 4}
