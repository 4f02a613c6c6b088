"""A table as a PNG file in the style of the figures, for slides and papers."""

import io
import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from tlsearch.report.figures import drawable
from tlsearch.report.page.section import Table
from tlsearch.report.page.style import GRID, INK, text_canvas

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST_ROWS = 60
_WIDEST_CELL = 34  # characters; longer ones go on in the next line
_WIDEST_NOTE = 90
_LINE = 0.19  # inches, as are the others
_ASCENT = 0.13  # from the top of a line to where letters stand
_ROOM = 0.1  # above and below the text of a row
_GAP = 0.28  # between two columns
_EDGE = 0.15


def table_png(table: Table) -> bytes:
    """Draw a table; of one with more than `MOST_ROWS` rows the first ones, with a word on it."""
    rows = [[_wrapped(cell, _WIDEST_CELL) for cell in row] for row in table.rows[: MOST_ROWS + 1]]
    left_out = len(table.rows) - len(rows)
    more = f"{left_out} more rows are in {table.slug}.csv. " if left_out else ""
    note = _wrapped(more + table.note, _WIDEST_NOTE)
    with text_canvas() as figure:
        return _drawn(figure, _wrapped(table.title, _WIDEST_NOTE), rows, note)


def _drawn(figure: "Figure", title: str, rows: Sequence[Sequence[str]], note: str) -> bytes:
    heights = [_LINE * max(map(_n_lines, row)) + _ROOM for row in rows]
    widths = [max(_width(figure, cell) for cell in column) for column in zip(*rows, strict=True)]
    places = [_EDGE + sum(widths[:k]) + _GAP * k for k in range(len(widths))]
    width = max(places[-1] + widths[-1], *(_EDGE + _width(figure, t) for t in (title, note)))
    top = _EDGE + _LINE * _n_lines(title) + _ROOM
    below = _LINE * _n_lines(note) + _ROOM if note else 0
    width, height = width + _EDGE, top + sum(heights) + below + _EDGE
    figure.set_size_inches(width, height)

    def write(x: float, y: float, text: str, **style: Any) -> None:
        for number, words in enumerate(text.split("\n")):
            foot = y + _ASCENT + number * _LINE
            figure.text(x / width, 1 - foot / height, words, va="baseline", **style)

    def line(y: float, color: str) -> None:
        from matplotlib.lines import Line2D

        ends = [_EDGE / 2 / width, 1 - _EDGE / 2 / width]
        figure.add_artist(Line2D(ends, [1 - y / height] * 2, color=color, lw=0.8))

    write(_EDGE, _EDGE, title, weight="bold")
    y = top
    for number, (row, tall) in enumerate(zip(rows, heights, strict=True)):
        line(y, INK if number < 2 else GRID)
        for x, cell in zip(places, row, strict=True):
            write(x, y + _ROOM / 2, cell, weight="bold" if number == 0 else "normal")
        y += tall
    line(y, INK)
    write(_EDGE, y + _ROOM, note, size=9)
    file = io.BytesIO()
    figure.savefig(file, format="png", facecolor="white", metadata={"Software": "tlsearch"})
    return file.getvalue()


def _wrapped(text: str, width: int) -> str:
    return "\n".join(textwrap.wrap(drawable(text), width)) or " "


def _n_lines(text: str) -> int:
    return text.count("\n") + 1


def _width(figure: "Figure", text: str) -> float:
    """Return how wide a text is in bold, inches."""
    from matplotlib.font_manager import FontProperties

    renderer = figure.canvas.get_renderer()  # type: ignore[attr-defined]
    font = FontProperties(weight="bold")
    lines = text.split("\n")
    pixels = max(renderer.get_text_width_height_descent(t, font, False)[0] for t in lines)
    return float(pixels / figure.dpi)
