"""A picture of the prior: its density over the study's range for each hyperparameter."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tlsearch.errors import InputError, described
from tlsearch.prior import density
from tlsearch.records import DEPTHS, Belief, Prior, Range
from tlsearch.report.figures import own_defaults

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FORMATS = (".png", ".svg", ".pdf")
_OR_FORMATS = f"{', '.join(FORMATS[:-1])} or {FORMATS[-1]}"


def draw_prior(
    prior: Prior, ranges: Mapping[str, Range], defaults: Mapping[str, float], path: Path
) -> None:
    """Draw the prior into a file.

    Args:
        prior: what to draw.
        ranges: the study's search space.
        defaults: values of the plain fine-tuning default, drawn as dotted lines.
        path: a .png, .svg or .pdf file.

    Raises:
        InputError: another kind of file, or it cannot be written.
    """
    if path.suffix.lower() not in FORMATS:
        raise InputError(f"{path}: not a picture file; give a name that ends in {_OR_FORMATS}")
    try:
        with own_defaults():
            _figure(prior, ranges, defaults).savefig(path)
    except OSError as error:
        raise InputError(
            f"{path}: cannot be written ({error.strerror}); give another folder or file"
        ) from None
    except Exception as error:
        raise InputError(
            f"{path}: cannot be drawn ({described(error)}); without --picture the prior is shown"
        ) from error


def _figure(prior: Prior, ranges: Mapping[str, Range], defaults: Mapping[str, float]) -> "Figure":
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 1.25 * len(prior.beliefs)), layout="constrained")
    axes = figure.subplots(len(prior.beliefs), 1)
    for axis, (name, belief) in zip(axes, prior.beliefs.items(), strict=True):
        _draw(axis, name, belief, ranges[name], defaults[name])
    lines = {label: line for axis in axes for line, label in zip(*_legend(axis), strict=True)}
    if lines:
        figure.legend(lines.values(), lines.keys(), loc="outside lower center", ncols=len(lines))
    figure.suptitle(f"prior; weight of 'the pretrained weights do not fit': {prior.unfit:.2f}")
    return figure


def _draw(axis: "Axes", name: str, belief: Belief, given: Range, default: float) -> None:
    label = name if given.fixed else f"{name}\nmode {belief.mode:.3g}"
    axis.set_ylabel(label, rotation=0, ha="right", va="center")
    axis.set_yticks([])
    if given.fixed:
        axis.text(0.5, 0.5, f"fixed to {given.low:g}", ha="center", transform=axis.transAxes)
        axis.set_xticks([])
        return
    values, heights = density(name, belief, given)
    if name not in DEPTHS and given.low > 0:
        axis.set_xscale("log")
    axis.fill_between(values, heights, alpha=0.3)
    axis.axvline(belief.mode, label="mode")
    axis.axvline(belief.opposite, linestyle="--", color="tab:red", label="opposite")
    if given.low <= default <= given.high:
        axis.axvline(default, linestyle=":", color="black", label="plain default")
    axis.set_xlim(given.low, given.high)


def _legend(axis: "Axes") -> tuple[list[Any], list[Any]]:
    handles, labels = axis.get_legend_handles_labels()
    return handles, labels
