"""Makes tlsearch/data/shipped/fashion_mnist_30.npz out of Fashion-MNIST's idx files.

    python bench/shipped_data.py [FOLDER] [--out FILE]

Train: the first 30 images of each class of the train files; val: the next 20; test: the first
100 of each class of the t10k files. The same input gives the same bytes (with the same zlib).
"""

import argparse
import io
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tlsearch.data.idx import read_idx_file

ROOT = Path(__file__).resolve().parent.parent
SOURCE = ROOT.parent / "shared" / "data" / "fashion-mnist"
TARGET = ROOT / "tlsearch" / "data" / "shipped" / "fashion_mnist_30.npz"
CLASS_NAMES = (
    "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat",
    "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot",
)  # fmt: skip
N_TRAIN, N_VAL, N_TEST = 30, 20, 100

Arrays = dict[str, NDArray[Any]]


def build(source: Path) -> Arrays:
    """Return the arrays of the shipped set, from a folder of idx files."""
    splits = {
        "train": ("train", 0, N_TRAIN),
        "val": ("train", N_TRAIN, N_TRAIN + N_VAL),
        "test": ("t10k", 0, N_TEST),
    }
    files = {prefix: _read(source, prefix) for prefix in ("train", "t10k")}
    arrays: Arrays = {"class_names": np.array(CLASS_NAMES)}
    for split, (prefix, first, last) in splits.items():
        images, labels = files[prefix]
        chosen = _of_each_class(labels, first, last)
        arrays[f"x_{split}"], arrays[f"y_{split}"] = images[chosen], labels[chosen]
    return arrays


def write(arrays: Arrays, target: Path) -> None:
    """Write a compressed .npz without timestamps."""
    with zipfile.ZipFile(target, "w") as archive:
        for name, array in arrays.items():
            entry = zipfile.ZipInfo(f"{name}.npy", date_time=(1980, 1, 1, 0, 0, 0))
            entry.create_system = 3
            content = io.BytesIO()
            np.lib.format.write_array(content, array, version=(1, 0), allow_pickle=False)
            archive.writestr(entry, content.getvalue(), zipfile.ZIP_DEFLATED, compresslevel=9)


def main() -> None:
    """Read the command line and write the file."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path, nargs="?", default=SOURCE)
    parser.add_argument("--out", type=Path, default=TARGET)
    arguments = parser.parse_args()
    write(build(arguments.folder), arguments.out)
    print(f"{arguments.out}: {arguments.out.stat().st_size} bytes")


def _read(source: Path, prefix: str) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    return (
        read_idx_file(source / f"{prefix}-images-idx3-ubyte.gz", 3),
        read_idx_file(source / f"{prefix}-labels-idx1-ubyte.gz", 1),
    )


def _of_each_class(labels: NDArray[np.uint8], first: int, last: int) -> NDArray[np.int64]:
    """Return, in file order, the indices of the `first` to `last` image of each class."""
    found = [np.flatnonzero(labels == label)[first:last] for label in range(len(CLASS_NAMES))]
    return np.sort(np.concatenate(found))


if __name__ == "__main__":
    main()
