"""Predictions as a table, CSV or JSON lines, one image a line."""

import csv
import json
import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TextIO

from tlsearch.errors import on_one_line
from tlsearch.records.format import LABEL_SEPARATOR, percent

if TYPE_CHECKING:
    from tlsearch.predict import Prediction

Writer = Callable[["Prediction"], None]


def writer_of(
    how: str,
    stream: TextIO,
    names: Sequence[str],
    top_k: int,
    several: Sequence[str] | None = None,
) -> Writer:
    """Return what writes one prediction; a heading is written now.

    Args:
        how: `table`, `csv` or `jsonl`.
        stream: where to.
        names: of all images, for the width of a table.
        top_k: how many classes each prediction names at most.
        several: of several labels an image all classes; None = the most probable ones are written.
    """
    if how == "csv":
        return _csv_writer(stream, top_k) if several is None else _several_writer(stream, several)
    return _json_writer(stream) if how == "jsonl" else _table_writer(stream, names)


def _table_writer(stream: TextIO, names: Sequence[str]) -> Writer:
    width = max(map(len, map(on_one_line, names)), default=0)

    def write(each: "Prediction") -> None:
        guesses = "  ".join(f"{percent(g.probability):>7}  {_shown(g.label)}" for g in each.top)
        guesses = guesses or f"{'-':>7}  (no label)"
        said = guesses if each.error is None else f"cannot be read: {_shown(each.error)}"
        stream.write(f"{_shown(each.image):<{width}}  {said}\n")

    return write


def _csv_writer(stream: TextIO, top_k: int) -> Writer:
    rows = csv.writer(stream, lineterminator="\n")
    numbers = ["", *(f"_{k}" for k in range(2, top_k + 1))]
    columns = [f"{name}{number}" for number in numbers for name in ("label", "probability")]
    rows.writerow(["image", *columns, "error"])

    def write(each: "Prediction") -> None:
        cells = [cell for g in each.top for cell in (g.label, f"{g.probability:.6f}")]
        cells += [""] * (2 * top_k - len(cells))
        rows.writerow([each.image, *cells, each.error or ""])

    return write


def _several_writer(stream: TextIO, classes: Sequence[str]) -> Writer:
    rows = csv.writer(stream, lineterminator="\n")
    rows.writerow(["image", "labels", *(f"probability {name}" for name in classes), "error"])

    def write(each: "Prediction") -> None:
        cells = [f"{guess.probability:.6f}" for guess in each.every] or [""] * len(classes)
        rows.writerow([each.image, LABEL_SEPARATOR.join(each.labels), *cells, each.error or ""])

    return write


def _json_writer(stream: TextIO) -> Writer:
    def write(each: "Prediction") -> None:
        stream.write(json.dumps(_as_json(each), allow_nan=False) + "\n")

    return write


def _as_json(each: "Prediction") -> dict[str, Any]:
    if each.error is not None:
        return {"image": each.image, "error": each.error}
    top = [{"label": g.label, "probability": _finite(g.probability)} for g in each.top]
    if each.every:
        every = {g.label: _finite(g.probability) for g in each.every}
        return {"image": each.image, "labels": list(each.labels), "probabilities": every}
    return {"image": each.image, **top[0], "top": top}


def _finite(number: float) -> float | None:
    return number if math.isfinite(number) else None


def _shown(text: str) -> str:
    return on_one_line(text)
