"""The measures of a study beside those of the paper's four data sets, and what they mean."""

from collections.abc import Sequence

from tlsearch.prior import DISAGREEMENT, fisher_unfit, unfit_weight
from tlsearch.records import Measures

# Plested et al., Table 1 and Table 7; accuracies in per cent.
PAPER = ("Caltech", "DTD", "Cars", "Aircraft")
_PAPER_ROWS = {
    "fixed features": ("83.4 %", "74.6 %", "64.2 %", "59.9 %"),
    "random initialisation": ("67.2 %", "66.8 %", "92.7 %", "88.8 %"),
    "difference": ("-16.2", "-7.8", "+28.5", "+28.9"),
    "Fisher score": ("1.35", "3.47", "1.18", "0.83"),
    "EMD similarity": ("0.568", "0.540", "0.536", "0.557"),
}
_UNKNOWN = ("", "", "", "")


def measures_rows(measures: Measures) -> list[list[str]]:
    """Return a heading and a row a measure: its name, this study's value, the paper's four."""
    random_init = _percent(measures.random_init)
    difference = "-" if measures.fit is None else f"{100 * measures.fit:+.1f}"
    error = "" if measures.fit_error is None else f" +- {100 * measures.fit_error:.1f}"
    shown = {
        "fixed features": _percent(measures.fixed_features),
        "random initialisation": random_init,
        "difference": difference + error,
        "Fisher score": f"{measures.fisher:.2f}",
        "  with labels permuted": f"{measures.fisher_floor:.2f}",
        "  ratio": f"{measures.fisher_ratio:.2f}",
        "EMD similarity": "-"
        if measures.emd_similarity is None
        else f"{measures.emd_similarity:.3f}",
        "  EMD": "-" if measures.emd is None else f"{measures.emd:.3g}",
        "range test, learning rate": "-"
        if measures.lr_range is None
        else f"{measures.lr_range:.2g}",
    }
    rows = [[name, value, *_PAPER_ROWS.get(name, _UNKNOWN)] for name, value in shown.items()]
    return [["measure", "this study", *PAPER], *rows]


def notes(measures: Measures) -> Sequence[str]:
    """Return what the figures stand for and cost."""
    return (
        f"random initialisation: {measures.random_init_epochs} epochs, "
        f"{measures.random_init_seconds:.0f} s; features: {measures.feature_seconds:.1f} s; "
        f"range test: {measures.lr_range_seconds:.1f} s",
        f"EMD: {measures.emd_source}; compare it between targets of one network only",
    )


def meaning(measures: Measures) -> str:
    """Return one sentence on what the measures mean for this study."""
    if measures.fit is None or measures.fit_error is None:
        return (
            "Training from random weights failed, so how well the pretrained weights fit is "
            "unknown; the prior leans on the Fisher score, and weakly."
        )
    unfit = unfit_weight(measures.fit, measures.fit_error)
    difference = f"{abs(100 * measures.fit):.1f} points"
    if unfit < 0.25:
        sense = (
            f"Fixed features beat training from random weights by {difference}: the pretrained "
            "weights fit, as for Caltech and DTD, so the search starts near them (low rate, L2-SP)"
        )
    elif unfit > 0.75:
        sense = (
            f"Training from random weights beats fixed features by {difference}: the pretrained "
            "weights fit poorly, as for Cars and Aircraft, so the search starts free of them (high "
            "rate, lower for low layers, plain L2)"
        )
    else:
        sense = (
            f"Fixed features and training from random weights are {difference} apart, too few to "
            "tell whether the pretrained weights fit: the search starts between the paper's columns"
        )
    disagrees = abs(unfit - fisher_unfit(measures)) > DISAGREEMENT
    return sense + (", widely, as the Fisher score disagrees." if disagrees else ".")


def _percent(fraction: float | None) -> str:
    return "-" if fraction is None else f"{100 * fraction:.1f} %"
