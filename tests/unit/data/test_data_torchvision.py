"""Sets of torchvision by name: small trees in the official layouts, read by its own classes."""

import bz2
import hashlib
import json
import pickle
import struct
from pathlib import Path

import numpy as np
import pytest
import scipy.io
from PIL import Image
from torchvision import datasets

from tlsearch.data import Catalog, ImageRef, load_catalog, load_training_data
from tlsearch.data.torchvision_names import SETS
from tlsearch.errors import DataError, SpecError
from tlsearch.spec import DataSpec, load_spec, parse_spec

SPLITS = ("train", "val", "test")


def load(name: str, root: Path, **keys: object) -> Catalog:
    return load_catalog(
        DataSpec.model_validate({"path": f"torchvision:{name}", "root": str(root), **keys})
    )


def refusal(name: str, root: Path, **keys: object) -> str:
    with pytest.raises(DataError) as caught:
        load(name, root, **keys)
    text = str(caught.value)
    assert "\n" not in text
    return text


def labels(catalog: Catalog) -> dict[str, dict[str, str]]:
    """The class of each image by its name, by split."""
    return {
        split: {ref.name: catalog.class_names[ref.label] for ref in getattr(catalog, split)}
        for split in SPLITS
    }


def pixels(ref: ImageRef) -> np.ndarray:
    assert isinstance(ref.source, np.ndarray)
    return ref.source


def picture(path: Path, seed: int = 0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng([seed, *str(path).encode()]).integers(0, 256, (8, 9, 3))
    Image.fromarray(pixels.astype(np.uint8)).save(path)
    return path


def noise(*shape: int) -> np.ndarray:
    return np.random.default_rng(shape).integers(0, 256, shape, dtype=np.uint8)


def mnist(root: Path, name: str) -> None:
    raw = root / name / "raw"
    raw.mkdir(parents=True)
    for prefix, n in (("train", 100), ("t10k", 40)):
        head = bytes([0, 0, 8, 3]) + struct.pack(">3I", n, 28, 28)
        (raw / f"{prefix}-images-idx3-ubyte").write_bytes(head + noise(n, 28, 28).tobytes())
        head = bytes([0, 0, 8, 1]) + struct.pack(">I", n)
        digits = (np.arange(n) % 10).astype(np.uint8)
        (raw / f"{prefix}-labels-idx1-ubyte").write_bytes(head + digits.tobytes())


@pytest.mark.parametrize("name", ["MNIST", "FashionMNIST", "KMNIST"])
def test_mnist_and_its_like(tmp_path, name):
    mnist(tmp_path, name)
    catalog = load(name, tmp_path)
    assert catalog.class_names == tuple(getattr(datasets, name).classes)
    assert len(catalog.train) + len(catalog.val) == 100
    assert [ref.label for ref in catalog.test] == [k % 10 for k in range(40)]
    assert np.array_equal(pixels(catalog.test[3]), noise(40, 28, 28)[3])


@pytest.fixture
def cifar(tmp_path, monkeypatch):
    """A small CIFAR10; torchvision checks MD5 sums before it reads, so those of the small files."""
    folder = tmp_path / "cifar-10-batches-py"
    folder.mkdir()

    def write(name: str, content: object) -> str:
        data = pickle.dumps(content)
        (folder / name).write_bytes(data)
        return hashlib.md5(data).hexdigest()

    names = [f"class {k}" for k in range(10)]
    batches = {
        name: write(name, {"data": noise(n, 3072), "labels": [k % 10 for k in range(n)]})
        for name, n in (("data_batch_1", 60), ("test_batch", 20))
    }
    meta = {"filename": "batches.meta", "key": "label_names"}
    meta["md5"] = write("batches.meta", {"label_names": names})
    monkeypatch.setattr(datasets.CIFAR10, "train_list", [["data_batch_1", batches["data_batch_1"]]])
    monkeypatch.setattr(datasets.CIFAR10, "test_list", [["test_batch", batches["test_batch"]]])
    monkeypatch.setattr(datasets.CIFAR10, "meta", meta)
    return tmp_path


def test_cifar(cifar):
    catalog = load("CIFAR10", cifar)
    assert catalog.class_names == tuple(f"class {k}" for k in range(10))
    assert len(catalog.train) + len(catalog.val) == 60
    assert len(catalog.test) == 20
    expected = noise(20, 3072)[7].reshape(3, 32, 32).transpose(1, 2, 0)
    assert np.array_equal(pixels(catalog.test[7]), expected)
    images = load_training_data(catalog, 32, 1.0)
    assert np.array_equal(images.train.image(0), pixels(catalog.train[0]))
    (cifar / "cifar-10-batches-py/test_batch").write_bytes(b"other content, never unpickled")
    said = refusal("CIFAR10", cifar)
    assert said.startswith(
        f"torchvision:CIFAR10: is not in {cifar}/cifar-10-batches-py, or damaged (Dataset not "
        "found or corrupted); download https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz, "
        "and unpack it to there as torchvision does, or set data.download = true"
    )


def test_usps(tmp_path, monkeypatch):
    for split, n in (("train", 40), ("test", 20)):
        rows = []
        for k, pixels in enumerate(noise(n, 256)):
            cells = " ".join(f"{i + 1}:{value / 127.5 - 1:.4f}" for i, value in enumerate(pixels))
            rows.append(f"{k % 10 + 1} {cells}")
        url, name, _ = datasets.USPS.split_list[split]
        content = bz2.compress("\n".join(rows).encode())
        (tmp_path / name).write_bytes(content)
        found = {**datasets.USPS.split_list, split: [url, name, hashlib.md5(content).hexdigest()]}
        monkeypatch.setattr(datasets.USPS, "split_list", found)
    catalog = load("USPS", tmp_path)
    assert catalog.class_names == tuple("0123456789")
    assert (len(catalog.train) + len(catalog.val), len(catalog.test)) == (40, 20)


def test_svhn_has_images_the_right_way_round(tmp_path, monkeypatch):
    found = dict(datasets.SVHN.split_list)
    for split, n in (("train", 40), ("test", 20)):
        url, name, _ = found[split]
        numbers = np.arange(1, n + 1)[:, None] % 10  # 10 stands for 0 there
        content = {"X": noise(32, 32, 3, n), "y": np.where(numbers == 0, 10, numbers)}
        scipy.io.savemat(tmp_path / name, content)
        found[split] = [url, name, hashlib.md5((tmp_path / name).read_bytes()).hexdigest()]
    monkeypatch.setattr(datasets.SVHN, "split_list", found)
    catalog = load("SVHN", tmp_path)
    assert catalog.class_names == tuple("0123456789")
    assert np.array_equal(pixels(catalog.test[5]), noise(32, 32, 3, 20)[..., 5])
    assert [ref.label for ref in catalog.test[:10]] == [1, 2, 3, 4, 5, 6, 7, 8, 9, 0]


def dtd(root: Path) -> None:
    folder = root / "dtd" / "dtd"
    (folder / "labels").mkdir(parents=True)
    for name in ("banded", "woven"):
        for k in range(6):
            picture(folder / "images" / name / f"{name}_{k}.jpg")
    for partition in (1, 2):
        for at, split in enumerate(SPLITS):
            ids = [2 * ((at + partition) % 3), 2 * ((at + partition) % 3) + 1]
            lines = [f"{name}/{name}_{k}.jpg\n" for name in ("banded", "woven") for k in ids]
            (folder / "labels" / f"{split}{partition}.txt").write_text("".join(lines))


def test_dtd_has_partitions(tmp_path):
    dtd(tmp_path)
    first, second = load("DTD", tmp_path), load("DTD/2", tmp_path)
    assert load("DTD/1", tmp_path).fingerprint == first.fingerprint != second.fingerprint
    for catalog, shift in ((first, 1), (second, 2)):
        for at, split in enumerate(SPLITS):
            ids = [2 * ((at + shift) % 3), 2 * ((at + shift) % 3) + 1]
            assert labels(catalog)[split] == {
                f"dtd/dtd/images/{name}/{name}_{k}.jpg": name
                for name in ("banded", "woven")
                for k in ids
            }
    assert "has no partition '11'; its partitions are from 1 to 10" in refusal("DTD/11", tmp_path)
    assert "MNIST/2: has no partition '2'; its partitions are none" in refusal("MNIST/2", tmp_path)


def test_aircraft(tmp_path):
    data = tmp_path / "fgvc-aircraft-2013b" / "data"
    (data / "images").mkdir(parents=True)
    (data / "variants.txt").write_text("707-320\nA340 200/300\n")
    number = 0
    for split in SPLITS:
        lines = []
        for variant in ("A340 200/300", "707-320"):
            for _ in range(2):
                picture(data / "images" / f"{number:07}.jpg")
                lines.append(f"{number:07} {variant}\n")
                number += 1
        (data / f"images_variant_{split}.txt").write_text("".join(lines))
    catalog = load("FGVCAircraft", tmp_path)
    assert catalog.class_names == ("707-320", "A340 200/300")
    inside = "fgvc-aircraft-2013b/data/images"
    assert labels(catalog)["val"] == {
        f"{inside}/0000004.jpg": "A340 200/300", f"{inside}/0000005.jpg": "A340 200/300",
        f"{inside}/0000006.jpg": "707-320", f"{inside}/0000007.jpg": "707-320",
    }  # fmt: skip
    names = [set(each) for each in labels(catalog).values()]
    assert len(set.union(*names)) == sum(map(len, names)) == 12
    (tmp_path / f"{inside}/0000011.jpg").unlink()
    assert f"1 file is not there: {tmp_path}/{inside}/0000011.jpg" in refusal(
        "FGVCAircraft", tmp_path
    )


def cars(root: Path) -> None:
    base = root / "stanford_cars"
    kind = [(n, object) for n in ("bbox_x1", "bbox_y1", "bbox_x2", "bbox_y2", "class", "fname")]
    for split, n in (("train", 20), ("test", 6)):
        rows = np.zeros(n, dtype=kind)
        for k in range(n):
            picture(base / f"cars_{split}" / f"{k + 1:05}.jpg")
            rows[k] = (1, 1, 8, 8, k % 2 + 1, f"{k + 1:05}.jpg")
        (base / "devkit").mkdir(exist_ok=True)
        place = (
            "devkit/cars_train_annos.mat" if split == "train" else "cars_test_annos_withlabels.mat"
        )
        scipy.io.savemat(base / place, {"annotations": rows})
    names = np.array(["AM General Hummer SUV 2000", "Acura RL Sedan 2012"], dtype=object)
    scipy.io.savemat(base / "devkit/cars_meta.mat", {"class_names": names})


def test_cars_with_their_mat_files(tmp_path):
    cars(tmp_path)
    catalog = load("StanfordCars", tmp_path)
    assert catalog.class_names == ("AM General Hummer SUV 2000", "Acura RL Sedan 2012")
    assert labels(catalog)["test"] == {
        f"stanford_cars/cars_test/{k + 1:05}.jpg": catalog.class_names[k % 2] for k in range(6)
    }
    assert len(catalog.train) + len(catalog.val) == 20
    assert all(ref.name.startswith("stanford_cars/cars_train/") for ref in catalog.val)
    (tmp_path / "stanford_cars/devkit/cars_meta.mat").write_bytes(b"rubbish" * 30)
    assert "or damaged (" in refusal("StanfordCars", tmp_path)


def test_pets(tmp_path):
    base = tmp_path / "oxford-iiit-pet"
    (base / "annotations").mkdir(parents=True)
    for split, n in (("trainval", 10), ("test", 3)):
        lines = []
        for label, breed in enumerate(("Abyssinian", "american_bulldog"), start=1):
            for k in range(n):
                picture(base / "images" / f"{breed}_{split}{k}.jpg")
                lines.append(f"{breed}_{split}{k} {label} {label} 1\n")
        (base / f"annotations/{split}.txt").write_text("".join(lines))
    catalog = load("OxfordIIITPet", tmp_path)
    assert catalog.class_names == ("Abyssinian", "American Bulldog")
    assert len(catalog.train) + len(catalog.val) == 20
    assert len(catalog.test) == 6


def test_food(tmp_path):
    base = tmp_path / "food-101"
    (base / "meta").mkdir(parents=True)
    for split, n in (("train", 10), ("test", 3)):
        found = {}
        for name in ("apple_pie", "waffles"):
            found[name] = [f"{name}/{split}{k}" for k in range(n)]
            for image in found[name]:
                picture(base / "images" / f"{image}.jpg")
        (base / f"meta/{split}.json").write_text(json.dumps(found))
    counts = load("Food101", tmp_path).counts()
    assert {name: (train + val, test) for name, (train, val, test) in counts.items()} == {
        "apple_pie": (10, 3), "waffles": (10, 3)
    }  # fmt: skip


TREES = {  # by set: a folder of each split, and two classes with their names here
    "Imagenette": (
        {"train": "imagenette2/train", "val": "imagenette2/val"},
        {"n01440764": "tench", "n02979186": "cassette player"},
        "jpeg",
    ),
    "Country211": (
        {"train": "country211/train", "val": "country211/valid", "test": "country211/test"},
        {"AD": "AD", "ZW": "ZW"},
        "jpg",
    ),
    "RenderedSST2": (
        {split: f"rendered-sst2/{split.replace('val', 'valid')}" for split in SPLITS},
        {"negative": "negative", "positive": "positive"},
        "png",
    ),
}


@pytest.mark.parametrize("name", TREES)
def test_sets_that_are_folders(tmp_path, name):
    folders, classes, ending = TREES[name]
    for folder in folders.values():
        for kind in classes:
            for k in range(2):
                picture(tmp_path / folder / kind / f"{kind}_{k}.{ending}")
    found = labels(load(name, tmp_path))
    for split, folder in folders.items():
        assert found[split] == {
            f"{folder}/{kind}/{kind}_{k}.{ending}": shown
            for kind, shown in classes.items()
            for k in range(2)
        }


def test_signs_and_scenes(tmp_path):
    base = tmp_path / "gtsrb"
    for kind in ("00000", "00001"):
        for k in range(10):
            picture(base / "GTSRB/Training" / kind / f"{k}.ppm")
    for k in range(4):
        picture(base / "GTSRB/Final_Test/Images" / f"{k}.ppm")
    lines = ["Filename;Width;ClassId", *(f"{k}.ppm;9;{k % 2}" for k in range(4))]
    (base / "GT-final_test.csv").write_text("\n".join(lines))
    catalog = load("GTSRB", tmp_path)
    assert catalog.class_names == ("0", "1")
    assert [ref.name[-5] for ref in catalog.test] == ["0", "2", "1", "3"]
    sun = tmp_path / "SUN397"
    for kind in ("a/abbey", "z/zoo"):
        for k in range(10):
            picture(sun / kind / f"sun_{k}.jpg")
    (sun / "ClassName.txt").write_text("/a/abbey\n/z/zoo\n")
    assert load("SUN397", tmp_path).class_names == ("abbey", "zoo")


def test_stl10(tmp_path, monkeypatch):
    base = tmp_path / "stl10_binary"
    base.mkdir()
    for split, n in (("train", 40), ("test", 20)):
        (base / f"{split}_X.bin").write_bytes(noise(n, 3, 96, 96).tobytes())
        (base / f"{split}_y.bin").write_bytes(bytes(k % 10 + 1 for k in range(n)))
    (base / "class_names.txt").write_text("\n".join(f"kind {k}" for k in range(10)))
    for attribute, names in {
        "train_list": ("train_X.bin", "train_y.bin"), "test_list": ("test_X.bin", "test_y.bin")
    }.items():  # fmt: skip
        sums = [[name, hashlib.md5((base / name).read_bytes()).hexdigest()] for name in names]
        monkeypatch.setattr(datasets.STL10, attribute, sums)
    catalog = load("STL10", tmp_path)
    assert catalog.class_names == tuple(f"kind {k}" for k in range(10))
    expected = noise(20, 3, 96, 96)[6].transpose(2, 1, 0)  # stored column by column
    assert np.array_equal(pixels(catalog.test[6]), expected)


def test_flowers(tmp_path, monkeypatch):
    base = tmp_path / "flowers-102"
    for k in range(1, 13):
        picture(base / "jpg" / f"image_{k:05}.jpg")
    scipy.io.savemat(base / "imagelabels.mat", {"labels": np.arange(12) % 2 + 1})
    ids = {"trnid": [1, 2, 3, 4], "valid": [5, 6, 7, 8], "tstid": [9, 10, 11, 12]}
    scipy.io.savemat(base / "setid.mat", ids)
    known = dict(datasets.Flowers102._file_dict)
    for key, name in (("label", "imagelabels.mat"), ("setid", "setid.mat")):
        known[key] = (name, hashlib.md5((base / name).read_bytes()).hexdigest())
    monkeypatch.setattr(datasets.Flowers102, "_file_dict", known)
    found = labels(load("Flowers102", tmp_path))
    assert sorted(int(name[-9:-4]) for name in found["val"]) == [5, 6, 7, 8]
    assert sorted(int(name[-9:-4]) for name in found["test"]) == [9, 10, 11, 12]
    assert len(set(found["train"].values())) == 2


def test_a_set_without_splits_is_split(tmp_path):
    for name in ("Forest", "River"):
        for k in range(30):
            picture(tmp_path / "eurosat/2750" / name / f"{name}_{k}.jpg")
    catalog = load("EuroSAT", tmp_path)
    assert catalog.class_names == ("Forest", "River")
    assert sum(map(sum, catalog.counts().values())) == 60
    assert all(all(counts) for counts in catalog.counts().values())


@pytest.mark.parametrize("name", SETS)
def test_what_is_not_there_says_what_to_download_and_where_it_belongs(tmp_path, name):
    said = refusal(name, tmp_path)
    assert f"torchvision:{name}: is not in {(tmp_path / SETS[name].folder).resolve()}" in said
    assert f"download {SETS[name].download}" in said
    assert "http" in said
    assert "set data.download = true" in said
    assert list(tmp_path.iterdir()) == []


def test_a_download_that_fails_is_one_sentence(tmp_path):
    said = refusal("StanfordCars", tmp_path, download=True)
    assert "or damaged (The original URL is broken" in said
    assert "set data.download" not in said


def test_what_is_no_name_says_what_is(tmp_path):
    assert "did you mean torchvision:CIFAR10?" in refusal("cifar10", tmp_path)
    assert "those that are: CIFAR10, CIFAR100, MNIST" in refusal("CocoDetection", tmp_path)
    with pytest.raises(
        DataError, match=r"set data\.root to the folder that has, or shall have, MNIST"
    ):
        load_catalog(DataSpec(path="torchvision:MNIST"))


def test_root_is_relative_to_the_spec_and_of_torchvision_alone(tmp_path):
    path = tmp_path / "a.toml"
    path.write_text(
        'name = "a"\ndata.path = "torchvision:MNIST"\ndata.root = "sets"\n'
        'backbone.model = "resnet18"\n'
    )
    data = load_spec(path).data
    assert (data.path, data.root) == ("torchvision:MNIST", str(tmp_path / "sets"))
    assert data.at("/there").root == "/there"
    assert DataSpec(path="x").at("/there").path == "/there"
    with pytest.raises(SpecError, match="root and download are of torchvision:NAME and paper:NAME"):
        parse_spec({"name": "a", "data": {"path": "x", "root": "y"}, "backbone": {"model": "m"}})
