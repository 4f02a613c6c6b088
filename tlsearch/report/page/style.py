"""How figures look: their own defaults, colours for every eye, and the page's light and dark.

The colours are those of Okabe and Ito ("Color universal design", 2008), each with a marker of its
own; shades of accuracy are cividis (Nuñez, Anderton, Renslow 2018). In the SVG they become CSS
variables, so that one drawing serves a light and a dark page.
"""

import io
import re
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tlsearch.report.figures import own_defaults
from tlsearch.report.page.section import Drawn

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK, GRID = "#1b1f24", "#c9ced6"
BLUE, ORANGE, GREEN, RED, PINK, SKY = (
    "#0072b2",
    "#e69f00",
    "#009e73",
    "#d55e00",
    "#cc79a7",
    "#56b4e9",
)
SERIES = (BLUE, ORANGE, GREEN, PINK, RED, SKY)
MARKERS = ("o", "s", "^", "D", "v", "P")
WIDTH = 5.2  # inches: text stays legible on a page of 400 pixels, where this is the whole width
MANY_POINTS = 400  # of one series: above that they are one image in the SVG, not an element each

_VARIABLES = {
    INK: "currentColor",
    GRID: "var(--grid)",
    BLUE: "var(--blue)",
    ORANGE: "var(--orange)",
    GREEN: "var(--green)",
    RED: "var(--red)",
    PINK: "var(--pink)",
    SKY: "var(--sky)",
}
_SVG, _XLINK = "http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"
_OWN = {
    "font.size": 10.0,
    "axes.titlesize": 10.5,
    "axes.labelsize": 10.0,
    "legend.fontsize": 9.0,
    "legend.frameon": False,
    "xtick.labelsize": 9.0,
    "ytick.labelsize": 9.0,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.titlecolor": INK,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "grid.color": GRID,
    "grid.linewidth": 0.6,
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "svg.fonttype": "none",
}


@dataclass
class Canvas:
    """A figure that is being drawn, and what it becomes once the block ends."""

    figure: "Figure"
    axes: Any
    drawn: Drawn


@contextmanager
def drawing(
    slug: str, height: float, rows: int = 1, ratios: tuple[float, ...] | None = None
) -> Iterator[Canvas]:
    """Draw a figure in the block: its axes are `axes`, below one another where there are several.

    Args:
        slug: makes names in the SVG unique on the page.
        height: in inches.
        rows: number of axes.
        ratios: of their heights.
    """
    with own_defaults():
        import matplotlib
        from matplotlib.figure import Figure

        matplotlib.rcParams.update({**_OWN, "svg.hashsalt": slug})
        figure = Figure(figsize=(WIDTH, height), dpi=144, layout="constrained")
        axes = figure.subplots(rows, 1, gridspec_kw={"height_ratios": ratios} if ratios else None)
        canvas = Canvas(figure, axes, Drawn("", b""))
        yield canvas
        canvas.drawn = Drawn(_svg(figure, slug), _png(figure))


@contextmanager
def text_canvas() -> Iterator["Figure"]:
    """Yield a figure without axes, in the style of the others."""
    with own_defaults():
        import matplotlib
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure

        matplotlib.rcParams.update(_OWN)
        figure = Figure(dpi=144)
        FigureCanvasAgg(figure)
        yield figure


def score_axis(axes: "Axes", label: str) -> None:
    """Give an axis of scores its label and grid."""
    axes.set_ylabel(label)
    axes.grid(axis="y")
    axes.margins(y=0.1)


def log_axis(axes: "Axes", low: float, high: float, label: str) -> None:
    """Make the x axis logarithmic, with plain numbers at 1, 2 and 5 of each decade."""
    from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

    axes.set_xscale("log")
    axes.set_xlim(low, high)
    steps = (1, 2, 5) if high / low < 500 else (1,)
    ticks = [step * 10.0**k for k in range(-9, 3) for step in steps]
    axes.xaxis.set_major_locator(FixedLocator([tick for tick in ticks if low <= tick <= high]))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.set_xlabel(label)


def legend(figure: "Figure", axes: "Axes", columns: int = 2) -> None:
    """Put the legend below the figure, where it hides nothing."""
    handles, labels = axes.get_legend_handles_labels()
    if labels:
        figure.legend(handles, labels, loc="outside lower center", ncols=columns)


def _png(figure: "Figure") -> bytes:
    file = io.BytesIO()
    figure.savefig(file, format="png", facecolor="white", metadata={"Software": "tlsearch"})
    return file.getvalue()


def _svg(figure: "Figure", slug: str) -> str:
    file = io.BytesIO()
    figure.savefig(file, format="svg", transparent=True, metadata={"Date": None})
    return page_svg(file.getvalue(), slug)


def page_svg(data: bytes, slug: str) -> str:
    """Make an SVG file of matplotlib's an element of the page.

    Its names become unique by the slug, its colours those of the page, its size that of its place.
    """
    ET.register_namespace("", _SVG)
    ET.register_namespace("xlink", _XLINK)
    root = ET.fromstring(data)
    for parent in list(root.iter()):
        for child in list(parent):
            if child.tag.rpartition("}")[2] in ("metadata", "style"):
                parent.remove(child)
    for element in root.iter():
        for name, value in element.attrib.items():
            element.set(name, _attribute(name, value, slug))
    for name in ("width", "height", "version"):
        root.attrib.pop(name, None)
    root.set("aria-hidden", "true")
    return ET.tostring(root, encoding="unicode")


def _attribute(name: str, value: str, slug: str) -> str:
    if name == "id":
        return f"{slug}-{value}"
    if name.endswith("href") and value.startswith("#"):
        return f"#{slug}-{value[1:]}"
    if name == "clip-path":
        return value.replace("url(#", f"url(#{slug}-")
    if name == "style":
        value = re.sub(r"'DejaVu Sans'[^;]*", "sans-serif", value)
        return re.sub(r"#[0-9a-f]{6}", lambda m: _VARIABLES.get(m[0], m[0]), value)
    return value
