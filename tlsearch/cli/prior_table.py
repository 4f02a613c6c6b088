"""A prior as lines of text."""

from collections.abc import Mapping

from tlsearch.cli.display import columns
from tlsearch.cli.streams import shows
from tlsearch.prior import DISAGREEMENT, density
from tlsearch.records import DEPTHS, HYPERPARAMETER_NAMES, Prior, Range

_BLOCKS, _PLAIN_BLOCKS = " ▁▂▃▄▅▆▇█", " .:-=+*#@"
_CELLS = 16


def prior_lines(prior: Prior, ranges: Mapping[str, Range]) -> list[str]:
    """Return the prior as lines of text."""
    heading = ["hyperparameter", "mode", "spread", "low", "density", "high", "opposite", "moved by"]
    rows = [heading]
    for name, belief in prior.beliefs.items():
        given = ranges[name]
        unit = "layers" if name in DEPTHS else "decades"
        rows.append(
            [
                name,
                f"{belief.mode:.3g}",
                "fixed" if given.fixed else f"{belief.spread:.2g} {unit}",
                f"{given.low:.3g}",
                _sparkline(prior, name, given),
                f"{given.high:.3g}",
                f"{belief.opposite:.3g}",
                belief.moved_by,
            ]
        )
    rules = [f"  {name:<14} {belief.rule}" for name, belief in prior.beliefs.items()]
    widened = f" and widened by {prior.disagreement:.2f}, as the Fisher score disagrees"
    return [
        *columns(rows),
        "",
        f"weight of the column 'pretrained weights do not fit' (Table 7, right): {prior.unfit:.2f}"
        + (widened if prior.disagreement > DISAGREEMENT else ""),
        f"highest useful learning rate {prior.lr_scale:.2g}: {prior.lr_scale_from}",
        "rules (Plested et al., Table 7):",
        *rules,
    ]


def _sparkline(prior: Prior, name: str, given: Range) -> str:
    """Draw the density over the range in one line."""
    if given.fixed:
        return "-" * _CELLS
    _, heights = density(name, prior.beliefs[name], given, _CELLS)
    blocks = _BLOCKS if shows(_BLOCKS) else _PLAIN_BLOCKS
    return "".join(blocks[round(8 * float(height))] for height in heights)


def changed_lines(before: Prior | None, after: Prior) -> list[str]:
    """Return which modes and spreads differ between two priors."""
    if before is None:
        return ["the study has no prior so far"]
    lines = []
    for name in HYPERPARAMETER_NAMES:
        old, new = before.beliefs[name], after.beliefs[name]
        for what in ("mode", "spread"):
            was, becomes = getattr(old, what), getattr(new, what)
            if was != becomes:
                lines.append(f"changed: {name} {what} {was:.3g} -> {becomes:.3g}")
    return lines or ["changed: nothing"]
