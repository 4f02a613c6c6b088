"""Writes the networks of an exported folder, and `tlsearch.json`."""

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from tlsearch.backbones import ExportedNetwork, check_exported, files_of
from tlsearch.errors import BackboneError, ExportError
from tlsearch.predict.exported import NAME, ONNX, Exported, sha256_of


def write_networks(
    folder: Path, exported: Exported, networks: Iterable[ExportedNetwork]
) -> Exported:
    """Write the files of each network, make sure that timm loads it as it is, and describe them.

    Args:
        folder: an empty one.
        exported: what it will hold; its checksums are filled in.
        networks: in the order of the members; each is dropped before the next is asked for.

    Raises:
        ExportError: timm loads another network from the files.
        OSError: they cannot be written.
    """
    for member, network in zip(exported.members, networks, strict=True):
        place = folder / member.folder
        place.mkdir(exist_ok=True)
        try:
            for name, content in files_of(network).items():
                (place / name).write_bytes(content)
            check_exported(place, network)
        except BackboneError as error:
            raise ExportError(f"trial {member.trial}: {error}") from error
    return write_manifest(folder, exported)


def write_manifest(folder: Path, exported: Exported) -> Exported:
    """Write `tlsearch.json` with the checksums of what is there, and return what it says."""
    names = [name for member in exported.members for name in member.files()]
    names += [ONNX] if (folder / ONNX).exists() else []
    found = replace(exported, files={name: sha256_of(folder / name) for name in names})
    (folder / NAME).write_text(found.text(), encoding="utf-8")
    return found
