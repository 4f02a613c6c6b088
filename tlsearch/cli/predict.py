"""`tlsearch predict`: classes of images by an exported model."""

import os
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TextIO

import typer

from tlsearch.cli.logs import write_error
from tlsearch.errors import InputError, on_one_line

if TYPE_CHECKING:
    from tlsearch.predict import Predictor
    from tlsearch.predict.images import GivenImage


class Format(StrEnum):
    """How results are written."""

    TABLE = "table"
    CSV = "csv"
    JSONL = "jsonl"


@dataclass(frozen=True, slots=True)
class _Asked:
    """What the options of the command say of the results."""

    how: Format
    top_k: int | None
    batch_size: int
    threshold: float | None


def predict(
    folder: Annotated[
        Path, typer.Argument(metavar="DIR", help="The folder that tlsearch export wrote.")
    ],
    images: Annotated[
        list[str],
        typer.Argument(
            metavar="IMAGE...",
            help="Images; a folder stands for all images in it; - reads paths, one a line.",
        ),
    ],
    top_k: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="K",
            help="How many classes of each image; 1, or of several labels those it has.",
        ),
    ] = None,
    threshold: Annotated[
        float | None,
        typer.Option(metavar="P", help="Of several labels: those with this probability; one half."),
    ] = None,
    how: Annotated[
        Format, typer.Option("--format", help="A table for people, CSV, or JSON lines.")
    ] = Format.TABLE,
    batch_size: Annotated[
        int, typer.Option(min=1, metavar="N", help="Images that are predicted at a time.")
    ] = 64,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")] = "auto",
    onnx: Annotated[
        bool, typer.Option("--onnx", help="Use model.onnx, without torch and timm.")
    ] = False,
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write to a file, whole or not at all.")
    ] = None,
) -> None:
    """Classify images by an exported model, in their order.

    The exit code is 1 where an image could not be read; the others are predicted all the same. It
    is 2 where none could.
    """
    from tlsearch.predict.load import load

    predictor = load(folder, device=device, onnx=onnx)
    given = _given(images)
    with _output(out) as stream:
        asked = _Asked(how, top_k, batch_size, threshold)
        n_failed = _write(predictor, given, stream, asked)
    if given and n_failed == len(given):
        if n_failed > 1:
            write_error(f"none of the {n_failed} images could be read")
        raise typer.Exit(2)
    if n_failed:
        write_error(
            f"{n_failed} of {len(given)} images could not be read; the others are predicted"
        )
        raise typer.Exit(1)


def _given(names: list[str]) -> "list[GivenImage]":
    """Return the images that are named, in their order."""
    from tlsearch.data.references import passed_text
    from tlsearch.predict.images import GivenImage, images_in

    found: list[GivenImage] = []
    for name in names:
        for path in _lines() if name == "-" else [name]:
            if not Path(path).is_dir():
                found.append(GivenImage(path, Path(path)))
                continue
            inside, passed = images_in(Path(path))
            found += [GivenImage(str(each), each) for each in inside]
            if text := passed_text(passed):
                typer.echo(on_one_line(f"{path}: passed over were {text}"), err=True)
    return found


def _lines() -> Iterator[str]:
    """Yield the paths on standard input; bytes that are no UTF-8 stay as they are."""
    for line in sys.stdin.buffer:
        if name := os.fsdecode(line.rstrip(b"\r\n")):
            yield name


def _write(
    predictor: "Predictor",
    given: "list[GivenImage]",
    stream: TextIO,
    asked: "_Asked",
) -> int:
    """Write the results as they come; return how many images could not be read."""
    from tlsearch.cli.predictions import writer_of
    from tlsearch.cli.progress_bar import progress_bar

    names = [each.place for each in given]
    several = predictor.exported.several_labels and asked.top_k is None
    classes = predictor.class_names if several else None
    parts = predictor.batches(
        given, top_k=asked.top_k, batch_size=asked.batch_size, threshold=asked.threshold
    )
    writer = writer_of(asked.how.value, stream, names, asked.top_k or 1, classes)
    n_failed = 0
    with progress_bar("predicting", len(given)) as advance:
        for part in parts:
            for each in part:
                writer(each)
            for each in part.errors:
                write_error(f"{each.image}: {each.error}")
            n_failed += len(part.errors)
            advance(len(part))
    return n_failed


@contextmanager
def _output(out: Path | None) -> Iterator[TextIO]:
    """Give standard output, or a file that is there whole in the end or not at all."""
    if out is None:
        yield sys.stdout
        return
    half = out.with_name(f".{out.name}.half-written-{uuid.uuid4().hex}")
    try:
        with half.open("x", encoding="utf-8", errors="surrogateescape", newline="") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        half.replace(out)
    except OSError as error:
        why = error.strerror or type(error).__name__
        raise InputError(f"{out}: cannot be written ({why}); nothing was left there") from error
    finally:
        with suppress(OSError):
            half.unlink()
