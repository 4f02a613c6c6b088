"""The classification sets of torchvision that are read by name: their splits and places."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tlsearch.data.references import ALL, TEST, TRAIN, VAL

Options = Mapping[str, Any]

_BY_FLAG = {TRAIN: {"train": True}, TEST: {"train": False}}
_TRAIN_TEST = {TRAIN: {"split": "train"}, TEST: {"split": "test"}}
_THREE = {TRAIN: {"split": "train"}, VAL: {"split": "val"}, TEST: {"split": "test"}}


@dataclass(frozen=True, slots=True)
class NamedSet:
    """One set.

    Attributes:
        splits: by split, the arguments with which torchvision reads it.
        download: what to download.
        folder: where it belongs, inside of `data.root`.
        partitions: how many divisions into splits it has; each has a number, from 1.
    """

    splits: Mapping[str, Options]
    download: str
    folder: str
    partitions: int = 1


SETS: Mapping[str, NamedSet] = {
    "CIFAR10": NamedSet(
        _BY_FLAG, "https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz", "cifar-10-batches-py"
    ),
    "CIFAR100": NamedSet(
        _BY_FLAG, "https://www.cs.toronto.edu/~kriz/cifar-100-python.tar.gz", "cifar-100-python"
    ),
    "MNIST": NamedSet(
        _BY_FLAG, "the four files of https://ossci-datasets.s3.amazonaws.com/mnist/", "MNIST/raw"
    ),
    "FashionMNIST": NamedSet(
        _BY_FLAG,
        "the four files of http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
        "FashionMNIST/raw",
    ),
    "KMNIST": NamedSet(
        _BY_FLAG, "the four files of http://codh.rois.ac.jp/kmnist/dataset/kmnist/", "KMNIST/raw"
    ),
    "USPS": NamedSet(
        _BY_FLAG,
        "usps.bz2 and usps.t.bz2 of "
        "https://www.csie.ntu.edu.tw/~cjlin/libsvmtools/datasets/multiclass/",
        ".",
    ),
    "SVHN": NamedSet(
        _TRAIN_TEST,
        "train_32x32.mat and test_32x32.mat of http://ufldl.stanford.edu/housenumbers/",
        ".",
    ),
    "STL10": NamedSet(
        _TRAIN_TEST,
        "http://ai.stanford.edu/~acoates/stl10/stl10_binary.tar.gz",
        "stl10_binary",
    ),
    "DTD": NamedSet(
        _THREE,
        "https://www.robots.ox.ac.uk/~vgg/data/dtd/download/dtd-r1.0.1.tar.gz",
        "dtd/dtd",
        partitions=10,
    ),
    "FGVCAircraft": NamedSet(
        _THREE,
        "https://www.robots.ox.ac.uk/~vgg/data/fgvc-aircraft/archives/fgvc-aircraft-2013b.tar.gz",
        "fgvc-aircraft-2013b",
    ),
    "Flowers102": NamedSet(
        _THREE,
        "102flowers.tgz, imagelabels.mat and setid.mat of "
        "https://www.robots.ox.ac.uk/~vgg/data/flowers/102/",
        "flowers-102",
    ),
    "Food101": NamedSet(
        _TRAIN_TEST, "http://data.vision.ee.ethz.ch/cvl/food-101.tar.gz", "food-101"
    ),
    "OxfordIIITPet": NamedSet(
        {TRAIN: {"split": "trainval"}, TEST: {"split": "test"}},
        "images.tar.gz and annotations.tar.gz of https://www.robots.ox.ac.uk/~vgg/data/pets/data/",
        "oxford-iiit-pet",
    ),
    "StanfordCars": NamedSet(
        _TRAIN_TEST,
        "cars_train.tgz, cars_test.tgz, car_devkit.tgz and cars_test_annos_withlabels.mat, which "
        "are no longer at https://ai.stanford.edu/~jkrause/cars/car_dataset.html",
        "stanford_cars",
    ),
    "GTSRB": NamedSet(
        _TRAIN_TEST,
        "GTSRB-Training_fixed.zip, GTSRB_Final_Test_Images.zip and GTSRB_Final_Test_GT.zip of "
        "https://sid.erda.dk/public/archives/daaeac0d7ce1152aea9b61d9f1e19370/",
        "gtsrb",
    ),
    "Country211": NamedSet(
        {TRAIN: {"split": "train"}, VAL: {"split": "valid"}, TEST: {"split": "test"}},
        "https://openaipublic.azureedge.net/clip/data/country211.tgz",
        "country211",
    ),
    "RenderedSST2": NamedSet(
        _THREE, "https://openaipublic.azureedge.net/clip/data/rendered-sst2.tgz", "rendered-sst2"
    ),
    "Imagenette": NamedSet(
        {TRAIN: {"split": "train"}, VAL: {"split": "val"}},
        "https://s3.amazonaws.com/fast-ai-imageclas/imagenette2.tgz",
        "imagenette2",
    ),
    "EuroSAT": NamedSet(
        {ALL: {}},
        "https://huggingface.co/datasets/torchgeo/eurosat/resolve/main/EuroSAT.zip",
        "eurosat/2750",
    ),
    "SUN397": NamedSet(
        {ALL: {}}, "http://vision.princeton.edu/projects/2010/SUN/SUN397.tar.gz", "SUN397"
    ),
}
