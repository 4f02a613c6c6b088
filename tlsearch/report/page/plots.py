"""What several figures draw: series of trials with their medians, and rows of dots."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tlsearch.report.figures import drawable
from tlsearch.report.page.bins import FEWEST, Bin, median_of
from tlsearch.report.page.style import INK, MANY_POINTS, MARKERS, SERIES

if TYPE_CHECKING:
    from matplotlib.axes import Axes


@dataclass(frozen=True, slots=True)
class Series:
    """Trials that are drawn alike.

    Attributes:
        label: for the legend.
        xs: a hyperparameter of each.
        ys: scores as on the axis, such as per cent.
        style: number of its colour and marker.
        faint: drawn hollow and without medians: trials that are there for comparison.
    """

    label: str
    xs: Sequence[float]
    ys: Sequence[float]
    style: int
    faint: bool = False


@dataclass(frozen=True, slots=True)
class Dot:
    """A row of a dot plot.

    Attributes:
        label: what it is.
        value: a score; of accuracy a fraction.
        low, high: ends of its interval; None = no interval.
        others: single runs that `value` is the mean of.
        style: number of its colour and marker.
    """

    label: str
    value: float
    low: float | None = None
    high: float | None = None
    others: Sequence[float] = ()
    style: int = 0


def draw_series(
    axes: "Axes", series: Sequence[Series], bins: Sequence[Bin], together: Series | None = None
) -> None:
    """Draw each trial as a point, and a bar at the median of each bin with enough of them.

    Args:
        axes: where.
        series: what is drawn.
        bins: ranges of the x axis.
        together: those whose medians are drawn, where it is not each series that is not faint.
    """
    for one in series:
        label = f"{one.label} (n = {len(one.xs)})"
        draw_points(axes, one.xs, one.ys, one.style, label, faint=one.faint)
    counted = [one for one in series if not one.faint] if together is None else [together]
    shown = [one for one in counted if any(len(b.of(one.xs, one.ys)) >= FEWEST for b in bins)]
    for place, one in enumerate(shown):
        draw_medians(axes, one, [part(axes, bin_, place, len(shown)) for bin_ in bins], bins)
    number_bins(axes, counted, bins)


def part(axes: "Axes", bin_: Bin, place: int, n: int) -> tuple[float, float]:
    """Return the ends of the bar that a series has in a bin: beside those of n - 1 others."""
    low, high = (place + 0.08) / n, (place + 0.92) / n
    if axes.get_xscale() == "log":
        return bin_.low * (bin_.high / bin_.low) ** low, bin_.low * (bin_.high / bin_.low) ** high
    return bin_.low + low * (bin_.high - bin_.low), bin_.low + high * (bin_.high - bin_.low)


def draw_points(
    axes: "Axes",
    xs: Sequence[float],
    ys: Sequence[float],
    style: int,
    label: str,
    *,
    faint: bool = False,
) -> None:
    """Draw trials as points."""
    color, marker = SERIES[style % len(SERIES)], MARKERS[style % len(MARKERS)]
    axes.plot(
        xs,
        list(ys),
        linestyle="none",
        marker=marker,
        markersize=4.0 if faint else 5.0,
        color=color,
        markerfacecolor="none" if faint else color,
        markeredgewidth=0.7,
        alpha=0.45 if faint else 0.75,
        label=label,
        rasterized=len(xs) > MANY_POINTS,
    )


def draw_medians(
    axes: "Axes", series: Series, ends: Sequence[tuple[float, float]], bins: Sequence[Bin]
) -> None:
    """Draw a bar in each bin that has enough of the series' trials, behind the points."""
    for end, one in zip(ends, bins, strict=True):
        middle = median_of(one.of(series.xs, series.ys))
        if middle is not None:
            for width, color in ((5.2, INK), (3.4, SERIES[series.style % len(SERIES)])):
                axes.plot(end, [middle] * 2, color=color, lw=width, zorder=1.8)


def number_bins(axes: "Axes", series: Sequence[Series], bins: Sequence[Bin]) -> None:
    """Write above the axes how many trials each bin holds."""
    for one in bins:
        n = sum(len(one.of(each.xs, each.ys)) for each in series)
        log = axes.get_xscale() == "log"
        middle = (one.low * one.high) ** 0.5 if log else (one.low + one.high) / 2
        axes.annotate(
            f"n={n}",
            (middle, 1.0),
            xycoords=("data", "axes fraction"),
            xytext=(0, 2),
            textcoords="offset points",
            ha="center",
            fontsize=8,
            annotation_clip=False,
            fontweight="normal" if n >= FEWEST else "bold",
        )
        if one is not bins[0]:
            axes.axvline(one.low, color=INK, lw=0.4, alpha=0.25, zorder=0)


def draw_dots(axes: "Axes", dots: Sequence[Dot], label: str, factor: float = 100.0) -> None:
    """Draw scores below one another, with their intervals and single runs.

    Args:
        axes: where.
        dots: what is drawn.
        label: of the x axis.
        factor: by what scores are multiplied there.
    """
    digits = 1 if factor == 100 else 3
    for place, dot in enumerate(dots):
        color, marker = SERIES[dot.style % len(SERIES)], MARKERS[dot.style % len(MARKERS)]
        if dot.low is not None and dot.high is not None:
            axes.plot([factor * dot.low, factor * dot.high], [place, place], color=color, lw=2)
        if dot.others:
            runs = [factor * run for run in dot.others]
            axes.plot(runs, [place] * len(runs), linestyle="none", marker="|", color=INK, ms=9)
        axes.plot([factor * dot.value], [place], marker=marker, color=color, ms=7)
        axes.annotate(
            f"{factor * dot.value:.{digits}f}",
            (factor * dot.value, place),
            xytext=(0, 7),
            textcoords="offset points",
            ha="center",
            fontsize=8.5,
        )
    axes.set_yticks(range(len(dots)), [_lines(dot.label) for dot in dots])
    axes.set_ylim(len(dots) - 0.4, -0.7)
    axes.set_xlabel(label)
    axes.grid(axis="x")
    axes.margins(x=0.12)


def _lines(label: str) -> str:
    return "\n".join(drawable(line) for line in label.split("\n"))
