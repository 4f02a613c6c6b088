"""The bytes of a checkpoint: a safetensors file that is checked for damage before it is used.

Its metadata is a JSON document (identity and position of the training, SHA-256 of the tensors) and
the SHA-256 of that document.
"""

import hashlib
import io
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import safetensors.torch
import torch
from torch import Tensor

from tlsearch.data.safetensorsfile import read_header
from tlsearch.errors import CheckpointError
from tlsearch.records import EpochReport

FORMAT = 1


@dataclass(frozen=True, slots=True)
class TrainingPosition:
    """How far a training has come.

    Attributes:
        step: number of optimiser steps so far.
        batches: number of them in the current epoch.
        curve: reports of the complete epochs, in order.
        seconds: time spent so far.
    """

    step: int
    batches: int
    curve: tuple[EpochReport, ...]
    seconds: float


@dataclass(frozen=True, slots=True, eq=False)
class CheckpointFile:
    """The content of a checkpoint.

    Attributes:
        identity: of the training.
        position: of the training.
        tensors: by their name in the file, contiguous, on the CPU.
    """

    identity: str
    position: TrainingPosition
    tensors: Mapping[str, Tensor]

    def part(self, prefix: str) -> dict[str, Tensor]:
        """Return the tensors whose names begin with `prefix`, by the rest of the name."""
        return {n.removeprefix(prefix): t for n, t in self.tensors.items() if n.startswith(prefix)}

    def pack(self) -> bytes:
        """Return the bytes; the tensors must not share memory."""
        document = json.dumps(
            {
                "format": FORMAT,
                "identity": self.identity,
                "epochs": len(self.position.curve),
                **asdict(self.position),
                "tensors": _digest(self.tensors),
            }
        )
        metadata = {"checkpoint": document, "sha256": sha256(document)}
        return safetensors.torch.save(dict(self.tensors), metadata)

    @classmethod
    def unpack(cls, data: bytes) -> "CheckpointFile":
        """Read what `pack` wrote.

        Raises:
            CheckpointError: it is damaged, or of another format.
        """
        document = _document(data)
        try:
            tensors = safetensors.torch.load(data)
        except Exception as error:
            raise _damaged("its tensors cannot be read") from error
        if _digest(tensors) != document["tensors"]:
            raise _damaged("its tensors have another checksum")
        return cls(document["identity"], _position(document), tensors)


def read_position(data: bytes) -> TrainingPosition:
    """Return the position; reads no tensor.

    Raises:
        CheckpointError: it is damaged, or of another format.
    """
    return _position(_document(data))


def kind(tensor: Tensor) -> str:
    """Return a tensor's type and shape in words."""
    return f"{str(tensor.dtype).removeprefix('torch.')} {tuple(tensor.shape)}"


def sha256(text: str) -> str:
    """Return a text's SHA-256 as hexadecimal digits."""
    return hashlib.sha256(text.encode()).hexdigest()


def _document(data: bytes) -> dict[str, Any]:
    """Read the metadata, and check that the file is as long as its header says."""
    try:
        metadata = read_header(io.BytesIO(data)).metadata
    except ValueError as error:
        raise _damaged(str(error)) from error
    try:
        text, digest = metadata["checkpoint"], metadata["sha256"]
        right = sha256(text) == digest
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise _damaged("its header cannot be read") from error
    if not right:
        raise _damaged("its document has another checksum")
    return _of_our_format(json.loads(text))


def _of_our_format(document: dict[str, Any]) -> dict[str, Any]:
    if document["format"] != FORMAT:
        raise CheckpointError(
            f"the checkpoint has format {document['format']}, but this version of tlsearch reads "
            f"format {FORMAT}; use the version that wrote it"
        )
    return document


def _position(document: dict[str, Any]) -> TrainingPosition:
    curve = tuple(EpochReport(**report) for report in document["curve"])
    return TrainingPosition(document["step"], document["batches"], curve, document["seconds"])


def _digest(tensors: Mapping[str, Tensor]) -> str:
    digest = hashlib.sha256()
    for name in sorted(tensors):
        digest.update(f"{name} {kind(tensors[name])}\n".encode())
        digest.update(tensors[name].reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _damaged(what: str) -> CheckpointError:
    return CheckpointError(f"the checkpoint is damaged, or not a file of tlsearch: {what}")
