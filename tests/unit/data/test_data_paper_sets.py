"""The paper's four sets by name: every split rule, on small trees in the official layouts."""

from pathlib import Path

import pytest

from tests.unit.data.test_data_torchvision import cars, dtd, labels, picture
from tlsearch.data import Catalog, load_catalog
from tlsearch.errors import DataError
from tlsearch.spec import DataSpec

SPLITS = ("train", "val", "test")
CALTECH = "caltech256/256_ObjectCategories"


def load(name: str, root: Path | None, **keys: object) -> Catalog:
    found = {"path": f"paper:{name}", "root": root and str(root), **keys}
    return load_catalog(DataSpec.model_validate(found))


def refusal(name: str, root: Path | None) -> str:
    with pytest.raises(DataError) as caught:
        load(name, root)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def caltech(root: Path, counts: dict[str, int]) -> None:
    for name, n in counts.items():
        for k in range(1, n + 1):
            picture(root / CALTECH / name / f"{name[:3]}_{k:04}.jpg")


def test_caltech_is_divided_by_the_numbers_of_its_files(tmp_path):
    caltech(tmp_path, {"001.ak47": 53, "002.american-flag": 61, "257.clutter": 52})
    folder = tmp_path / CALTECH / "001.ak47"
    (folder / "RENAME2").write_text("as in the real set")
    found = load("caltech256-30", tmp_path)
    assert found.class_names == ("ak47", "american-flag")
    assert found.counts() == {"ak47": (30, 20, 3), "american-flag": (30, 20, 11)}
    for name, last in (("001.ak47", 53), ("002.american-flag", 61)):
        for split, numbers in (
            ("train", range(1, 31)), ("val", range(31, 51)), ("test", range(51, last + 1))
        ):  # fmt: skip
            names = {each for each in labels(found)[split] if f"/{name}/" in each}
            assert names == {f"{CALTECH}/{name}/{name[:3]}_{k:04}.jpg" for k in numbers}
    assert load("caltech256-30", tmp_path, split_seed=9).fingerprint == found.fingerprint


def test_caltech_with_too_few_images_or_none(tmp_path):
    caltech(tmp_path, {"001.ak47": 53, "002.american-flag": 50})
    said = refusal("caltech256-30", tmp_path)
    assert "too few images for 30 to train, 20 to validate and others to test in 002.amer" in said
    said = refusal("caltech256-30", tmp_path / "elsewhere")
    assert f"is not in {tmp_path}/elsewhere/{CALTECH}; download https://data.caltech.edu/" in said
    assert f"unpack it in {tmp_path}/elsewhere/caltech256" in said
    assert "set data.root to the folder that has" in refusal("caltech256-30", None)


def test_dtd_is_that_of_its_partition(tmp_path):
    dtd(tmp_path)
    first, second = load("dtd", tmp_path), load("dtd/2", tmp_path)
    assert load("dtd/1", tmp_path).fingerprint == first.fingerprint != second.fingerprint
    names = [set(each) for each in labels(second).values()]
    assert [len(each) for each in names] == [4, 4, 4]
    assert len(set.union(*names)) == 12


def test_cars_have_validation_images_of_their_training_images(tmp_path):
    cars(tmp_path)
    found = load("stanford-cars", tmp_path)
    assert len(found.train) + len(found.val) == 20
    assert all("/cars_train/" in ref.name for ref in (*found.train, *found.val))
    assert [ref.name[-9:] for ref in found.test if ref.label == 0] == [
        "00001.jpg", "00003.jpg", "00005.jpg"
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "folder"),
    [
        ("stanford-cars", "stanford_cars"),
        ("fgvc-aircraft", "fgvc-aircraft-2013b"),
        ("dtd", "dtd/dtd"),
    ],
)
def test_what_is_missing_says_where_it_belongs(tmp_path, name, folder):
    said = refusal(name, tmp_path)
    assert f"is not in {tmp_path}/{folder}, or damaged" in said
    assert "; download " in said


def test_other_names(tmp_path):
    said = refusal("caltech256-60", tmp_path)
    assert "is not a set of the paper; use paper:caltech256-30, paper:stanford-cars" in said
