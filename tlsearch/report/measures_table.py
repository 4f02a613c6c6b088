"""The measures of a study beside those of the paper's four data sets, and what they mean."""

from collections.abc import Sequence

from tlsearch.prior import DISAGREEMENT, unfit_weight
from tlsearch.records import Measures, Prior, SizeMeasure
from tlsearch.records.format import percent, points
from tlsearch.records.objective import ACCURACY, words

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
    """Return a heading and a row for each measure: name, this study's value, the paper's four."""
    random_init = percent(measures.random_init)
    difference = "-" if measures.fit is None else f"{100 * measures.fit:+.1f}"
    error = "" if measures.fit_error is None else f" +- {100 * measures.fit_error:.1f}"
    shown = {
        "fixed features": percent(measures.fixed_features),
        **{f"  at {s.image_size} px": _size(s) for s in measures.sizes},
        "random initialisation": random_init,
        "difference": difference + error,
        "Fisher score": _hundredths(measures.fisher),
        "  with labels permuted": _hundredths(measures.fisher_floor),
        "  ratio": _hundredths(measures.fisher_ratio),
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


def _hundredths(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def _size(size: SizeMeasure) -> str:
    gain, error = 100 * size.lead.gain, 100 * size.lead.error
    return f"{percent(size.val_accuracy)} ({gain:+.1f} +- {error:.1f})"


def footnotes(measures: Measures) -> Sequence[str]:
    """Return how the measures were taken and how long that took."""
    of_several: tuple[str, ...] = ()
    if measures.objective != ACCURACY:
        of_several = (
            f"fixed features, random initialisation: {words(measures.objective)}; the paper's are "
            "accuracies",
            "Fisher score: left out, as it is of classes that share no image",
        )
    return (
        f"random initialisation: {measures.random_init_epochs} epochs, "
        f"{measures.random_init_seconds:.0f} s; features: {measures.feature_seconds:.1f} s; "
        f"range test: {measures.lr_range_seconds:.1f} s",
        f"EMD: {measures.emd_source}"
        + ("" if of_several else "; compare it only between targets of the same network"),
        *of_several,
    )


def meaning(measures: Measures, prior: Prior | None) -> str:
    """Return one sentence about what the measures mean for this study.

    Args:
        measures: of the study.
        prior: the prior from these measures; None where the study does not use one.
    """
    if measures.fit is None or measures.fit_error is None:
        instead = "uses the Fisher score instead, with half its weight"
        if measures.fisher is None:
            instead = "lies half way between the two columns of the paper"
        return (
            "Training from random weights failed, so it is unknown how well the pretrained weights "
            f"fit; the prior {instead}."
        )
    unfit = unfit_weight(measures.fit, measures.fit_error)
    difference = points(measures.fit)
    if unfit < 0.25:
        sense = (
            f"Fixed features beat training from random weights by {difference}: the pretrained "
            "weights fit, as for Caltech and DTD"
        )
    elif unfit > 0.75:
        sense = (
            f"Training from random weights beats fixed features by {difference}: the pretrained "
            "weights fit poorly, as for Cars and Aircraft"
        )
    else:
        sense = (
            f"Fixed features and training from random weights differ by {difference}; with "
            f"{measures.n_val} validation images that is too little to tell whether the pretrained "
            "weights fit"
        )
    return sense + (_start(prior) if prior is not None else "") + "."


def _start(prior: Prior) -> str:
    """Say where the search starts, and whether the Fisher score disagrees."""
    if prior.unfit < 0.25:
        where = "near these weights (L2-SP, one rate for all layers)"
    elif prior.unfit > 0.75:
        where = "with little regard to these weights (plain L2, a lower rate for low layers)"
    else:
        where = "between the two columns of the paper"
    rate = f"a learning rate of {prior.beliefs['high_lr'].mode:.2g}"
    wide = ", with wide spreads because the Fisher score disagrees"
    return f", so the search starts {where}, at {rate}" + (
        wide if prior.disagreement > DISAGREEMENT else ""
    )
