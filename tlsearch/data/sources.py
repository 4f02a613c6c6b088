"""Finds the kind of source that a data spec names, and reads it."""

import os
from dataclasses import replace
from pathlib import Path, PurePosixPath

from tlsearch.data.bucket import fetch_files, fetch_tree
from tlsearch.data.folders import read_folder
from tlsearch.data.hub import hub_folder
from tlsearch.data.huggingface import holds_huggingface, read_huggingface, require_pyarrow
from tlsearch.data.idx import holds_idx, read_idx
from tlsearch.data.manifest import read_manifest
from tlsearch.data.npz import read_npz
from tlsearch.data.paper_sets import read_paper
from tlsearch.data.references import SourceImages
from tlsearch.data.scan import CLASSES, NOW, Rules
from tlsearch.data.torchvision_sets import read_torchvision
from tlsearch.errors import DataError
from tlsearch.spec import HF, PAPER, S3, TORCHVISION, DataSpec

BUILTIN = "builtin:"
_BY_EXTENSION = {
    ".npz": "npz",
    **dict.fromkeys((".csv", ".tsv", ".parquet", ".pq"), "manifest"),
}
SHIPPED = {"fashion-mnist-30": Path(__file__).parent / "shipped" / "fashion_mnist_30.npz"}


def read_source(spec: DataSpec, rules: Rules = NOW) -> SourceImages:
    """Read the source that `spec.path` and `spec.format` name.

    Args:
        spec: the data.
        rules: how a folder is read.

    Raises:
        DataError: it does not exist, is of another kind than `spec.format`, or has a fault.
    """
    found = _read(spec, rules)
    if spec.multi_label and not _are_several(found):
        raise DataError(
            f"{found.where}: has one class an image; data.multi_label = true needs a manifest "
            "(.csv, .tsv, .parquet) with the labels of each image; name one, or leave the key out"
        )
    return found


def _are_several(found: SourceImages) -> bool:
    return all(isinstance(ref.label, tuple) for refs in found.splits.values() for ref in refs)


def _read(spec: DataSpec, rules: Rules) -> SourceImages:
    if spec.path.startswith(BUILTIN):
        return _read_builtin(spec.path)
    if spec.path.startswith(TORCHVISION):
        return read_torchvision(spec)
    if spec.path.startswith(PAPER):
        return read_paper(spec)
    if spec.path.startswith(HF):
        return _read_hub(spec)
    if spec.path.startswith(S3):
        return _read_bucket(spec, rules)
    path = Path(os.path.expanduser(spec.path))
    if not os.path.exists(path):
        raise DataError(f"{path}: no such file or folder; set data.path to where the images are")
    if not (path.is_dir() or path.is_file()):
        raise DataError(f"{path}: is neither a file nor a folder; give another data.path")
    kind = _kind(path) if spec.format == "auto" else spec.format
    return _read_file(path, kind, spec, rules) or _read_folder(path, kind, rules)


def _read_file(path: Path, kind: str, spec: DataSpec, rules: Rules) -> SourceImages | None:
    """Read what may be one file; None where the kind is always a folder."""
    if kind == "npz":
        return read_npz(path, str(path), rules)
    if kind == "huggingface":
        return read_huggingface(path, spec.columns)
    if kind != "manifest":
        return None
    if not path.is_file():
        raise DataError(f"{path}: is a folder; give the manifest, a .csv or .parquet file")
    return read_manifest(path, spec, strict=rules.strict)


def _read_folder(path: Path, kind: str, rules: Rules) -> SourceImages:
    if not path.is_dir():
        raise DataError(
            f"{path}: is not a folder; give a folder of images, a manifest (.csv, .tsv, .parquet) "
            "or a .npz file as data.path"
        )
    if kind == "idx":
        return read_idx(path, rules)
    return read_folder(path, rules if kind == "folder" else CLASSES)


def _read_builtin(name: str) -> SourceImages:
    path = SHIPPED.get(name.removeprefix(BUILTIN))
    if path is None:
        known = ", ".join(f"{BUILTIN}{shipped}" for shipped in SHIPPED)
        raise DataError(f"{name}: no such built-in data set; use {known}")
    return read_npz(path, name)


def _read_hub(spec: DataSpec) -> SourceImages:
    """Read a data set of the Hugging Face hub."""
    require_pyarrow(spec.path)
    folder = hub_folder(spec.path)
    try:
        return replace(read_huggingface(folder, spec.columns), where=spec.path)
    except DataError as error:
        raise DataError(str(error).replace(str(folder), spec.path)) from None


def _read_bucket(spec: DataSpec, rules: Rules) -> SourceImages:
    """Read a folder or a manifest in a bucket."""
    url = spec.path.rstrip("/")
    kind = spec.format
    if kind == "auto":
        kind = _BY_EXTENSION.get(PurePosixPath(url).suffix.lower(), "folder")  # type: ignore[assignment]
    if kind == "manifest":
        file = fetch_files([url], url)[url]
        if file is None:
            raise DataError(f"{url}: there is no such object; set data.path to the manifest")
        return read_manifest(file, spec, url, strict=rules.strict)
    if kind not in ("folder", "classes"):
        raise DataError(
            f"{url}: of what lies in a bucket, folders of images and manifests are read; copy it "
            "to this machine"
        )
    tree = fetch_tree(url)
    try:
        found = read_folder(tree, rules if kind == "folder" else CLASSES)
    except DataError as error:
        raise DataError(str(error).replace(str(tree), url)) from None
    splits = {
        split: tuple(replace(ref, url=f"{url}/{_inside(ref.source, tree)}") for ref in refs)
        for split, refs in found.splits.items()
    }
    return replace(found, where=url, splits=splits)


def _inside(source: object, tree: Path) -> str:
    assert isinstance(source, Path)
    return source.relative_to(tree).as_posix()


def _kind(path: Path) -> str:
    if holds_huggingface(path):
        return "huggingface"
    if path.is_file():
        return _BY_EXTENSION.get(path.suffix.lower(), "folder")
    return "idx" if holds_idx(path) else "folder"
