"""`tlsearch.json`: what an exported folder holds and how its models are used."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from tlsearch.errors import ExportError
from tlsearch.records.resize import Resize

FORMAT, SEVERAL = 1, 2  # of one label an image, and of several
NAME = "tlsearch.json"
ONNX = "model.onnx"
WEIGHTS, CONFIG = "model.safetensors", "config.json"
_SUM = "sha256"
_AGAIN = "export the model again"

Kind = Literal["fixed_features", "trial", "mean"]


@dataclass(frozen=True, slots=True)
class Preprocessing:
    """How an image becomes the network's input; see `tlsearch.predict.preprocess`.

    Attributes:
        image_size: side of the square that the network sees, pixels.
        short_side: to which the shorter side is resized first, pixels.
        mean, std: of each channel, of pixels from 0 to 1.
        bit_depth: bits that the values use in files that do not say; None = all.
        interpolation: of the resize, antialiased.
        max_aspect: of an image that is longer the middle is used, to this ratio of its sides.
        crop_mode: where the square is cut out.
        resize: by which rule sizes are rounded and the centre lies; see `tlsearch.data.fitting`.
    """

    image_size: int
    short_side: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    bit_depth: int | None = None
    interpolation: str = "bicubic"
    max_aspect: float = 2
    crop_mode: str = "center"
    resize: Resize = "rounded"


@dataclass(frozen=True, slots=True)
class Member:
    """One network of an exported model.

    Attributes:
        folder: inside the exported one; `.` where there is only this network.
        architecture: timm's name.
        kind: fixed features, or a trial.
        study: where it was trained.
        trial: number of its trial there.
        val_accuracy: that the study reports, a fraction.
    """

    folder: str
    architecture: str
    kind: Literal["fixed_features", "trial"]
    study: str
    trial: int
    val_accuracy: float | None

    def files(self) -> tuple[str, str]:
        """Return the names of its two files, inside the exported folder."""
        folder = "" if self.folder == "." else f"{self.folder}/"
        return folder + WEIGHTS, folder + CONFIG


@dataclass(frozen=True, slots=True)
class Exported:
    """What `tlsearch.json` says.

    Attributes:
        study: the study.
        kind: `mean` = the geometric mean of the members' probabilities.
        members: its networks.
        class_names: in the order of the outputs.
        preprocessing: of each image.
        val_accuracy: validation accuracy that the study reports, a fraction.
        n_val: validation images.
        versions: of the packages that exported it, by name.
        files: SHA-256 by file name, of all that are used.
        several_labels: whether an image may have several labels: probabilities are sigmoids.
    """

    study: str
    kind: Kind
    members: tuple[Member, ...]
    class_names: tuple[str, ...]
    preprocessing: Preprocessing
    val_accuracy: float | None
    n_val: int
    versions: Mapping[str, str]
    files: Mapping[str, str]
    several_labels: bool = False

    def text(self) -> str:
        """Return the file's text, with a checksum of its own."""
        words = {"format": SEVERAL if self.several_labels else FORMAT, **asdict(self)}
        if not self.several_labels:
            del words["several_labels"]  # as in what earlier versions wrote and read
        join = "geometric mean of the members' probabilities" if len(self.members) > 1 else None
        if join and self.several_labels:
            join = "sigmoid of the mean of the members' outputs"
        words |= {"join": join}
        return json.dumps(words | {_SUM: _sum(words)}, indent=2) + "\n"


def read_exported(folder: Path) -> Exported:
    """Read what an exported folder holds; looks at no other file.

    Raises:
        ExportError: it is no exported folder, of another format, or its file is damaged.
    """
    path = folder / NAME
    if not folder.is_dir():
        raise ExportError(f"{folder}: no such folder; give the folder that tlsearch export wrote")
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ExportError(
            f"{folder}: has no {NAME}, so it is not what tlsearch export wrote; name that folder"
        ) from None
    except OSError as error:
        raise ExportError(f"{path}: cannot be read ({error.strerror}); check its rights") from None
    except UnicodeDecodeError:
        raise _damaged(path) from None
    return _parsed(text, path)


def check_files(folder: Path, exported: Exported, names: Iterable[str]) -> None:
    """Make sure that files are those that were exported.

    Raises:
        ExportError: one is missing or another one; it is named.
    """
    for name in names:
        path = folder / name
        if name not in exported.files:
            raise ExportError(f"{path}: was not exported; {_AGAIN}")
        try:
            found = sha256_of(path)
        except FileNotFoundError:
            raise ExportError(f"{path}: is missing; {_AGAIN}, or copy the whole folder") from None
        except OSError as error:
            raise ExportError(f"{path}: cannot be read ({error.strerror})") from None
        if found != exported.files[name]:
            raise ExportError(
                f"{path}: is not the file that was exported: its SHA-256 differs; copy it again, "
                f"or {_AGAIN}"
            )


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _parsed(text: str, path: Path) -> Exported:
    try:
        words = json.loads(text)
        given = words.pop("format"), words.pop(_SUM)
        right = given[1] == _sum({"format": given[0], **words})
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise _damaged(path) from None
    if right and given[0] not in (FORMAT, SEVERAL):
        raise ExportError(
            f"{path}: has format {given[0]}, and this version of tlsearch reads {FORMAT} and "
            f"{SEVERAL}; use the version that wrote it, or {_AGAIN}"
        )
    if not right:
        raise _damaged(path)
    try:
        return _from_words(words)
    except (KeyError, TypeError, ValueError):
        raise _damaged(path) from None


def _from_words(words: dict[str, Any]) -> Exported:
    words.pop("join")
    pre = words.pop("preprocessing")
    pre |= {"mean": tuple(pre["mean"]), "std": tuple(pre["std"])}
    members = tuple(Member(**each) for each in words.pop("members"))
    names = tuple(words.pop("class_names"))
    return Exported(members=members, class_names=names, preprocessing=Preprocessing(**pre), **words)


def _sum(words: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(words, sort_keys=True).encode()).hexdigest()


def _damaged(path: Path) -> ExportError:
    return ExportError(f"{path}: is damaged or was changed; copy it again, or {_AGAIN}")
