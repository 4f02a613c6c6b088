"""The paper's claims, each with its place and what decides it on one target."""

import math
import statistics
from collections.abc import Callable
from dataclasses import dataclass

from tlsearch.records import Measures
from tlsearch.records.precision import standard_error

from .found import Found, Setting
from .verdicts import (
    NOT_RUN,
    Expected,
    Finding,
    Side,
    best_values,
    compared,
    of_difference,
    of_limit,
    of_ranges,
    side_of,
)

LOW_RATE = math.sqrt(0.0025 * 0.025)  # between the paper's low and high rates
DEFAULT, L2SP, MIXED, LOW = "table2", "table5-default", "table5-1layer", "table4-1layer"
LAYERS = ("table3-2layers", "table3-3layers")


@dataclass(frozen=True)
class Claim:
    """Something that the paper says.

    Attributes:
        text: what it says.
        place: where.
        paper: its figures.
        note: where the paper contradicts itself; else empty.
        find: what was found on a target.
    """

    text: str
    place: str
    paper: str
    find: Callable[[Found], Finding]
    note: str = ""


def fit_of(found: Found) -> tuple[float, float] | None:
    """Return random initialisation minus fixed features with its error; None where not run."""
    if found.measures is None:
        return None
    given = {**found.measures, "sizes": ()}
    measures = Measures(**given)
    if measures.fit is None or measures.fit_error is None:
        return None
    return measures.fit, measures.fit_error


def side(found: Found) -> Side | None:
    """Return whether the weights fit; None where that is not known."""
    fit = fit_of(found)
    return None if fit is None else side_of(*fit)


def _rate(found: Found) -> Finding:
    trials, fits = found.figure("figure1"), side(found)
    if not trials:
        return NOT_RUN
    low, high = best_values(trials, "high_lr", found.n_val)
    ours = f"best rate {_range(low, high)}; weights: {fits or 'not clear'}"
    if fits is None:
        return Finding("cannot be told", ours, _one_run(found))
    word = of_limit((low, high), LOW_RATE, below=fits == "fits")
    return Finding(word, ours, _one_run(found))


def _rate_of_layers(found: Found) -> Finding:
    one, more = found.figure("figure1"), found.figure("figure2")
    if not one or not more:
        return NOT_RUN
    first = best_values(more, "high_lr", found.n_val)
    second = best_values(one, "high_lr", found.n_val)
    ours = f"2 and 3 layers {_range(*first)}, 1 layer {_range(*second)}"
    return Finding(of_ranges(first, second), ours, _one_run(found))


def _layers(found: Found) -> Finding:
    settings = [each for name in LAYERS if (each := found.setting(name)) is not None]
    if len(settings) < len(LAYERS):
        return NOT_RUN
    return _conditional(found, _best(settings), found.setting(DEFAULT), gain_where="fits")


def _low_layers(found: Found) -> Finding:
    setting = found.setting(LOW)
    return _conditional(found, setting, found.setting(DEFAULT), gain_where="does not fit")


def _l2sp(found: Found) -> Finding:
    return _conditional(found, found.setting(L2SP), found.setting(DEFAULT), gain_where="fits")


def _alpha(found: Found) -> Finding:
    trials = found.figure("figure4")
    if not trials:
        return NOT_RUN
    ends = [
        max(each["val_accuracy"] for each in trials if each["params"]["alpha"] == alpha)
        for alpha in (f(each["params"]["alpha"] for each in trials) for f in (min, max))
    ]
    gain = ends[0] - ends[1]
    error = math.hypot(*(standard_error(each, found.n_val) for each in ends))
    ours = f"lowest minus highest alpha {100 * gain:+.1f} +- {100 * error:.1f}"
    if side(found) == "fits":
        return Finding("not claimed", ours, _one_run(found))
    if side(found) is None or abs(gain) < 2 * error:
        return Finding("cannot be told", ours, _one_run(found))
    return Finding("agrees" if gain > 0 else "disagrees", ours, _one_run(found))


def _mixed(found: Found) -> Finding:
    return _compared(found, found.setting(MIXED), found.setting(L2SP), "gain")


def _beta(found: Found) -> Finding:
    every, few = found.figure("figure4"), found.figure("figure5")
    if not every or not few:
        return NOT_RUN
    first = best_values(few, "beta", found.n_val)
    second = best_values(every, "beta", found.n_val)
    ours = f"L2-SP on some layers {_range(*first)}, on all {_range(*second)}"
    return Finding(of_ranges(first, second), ours, _one_run(found))


def _optimal(found: Found) -> Finding:
    default = found.setting(DEFAULT)
    others = [each for each in found.settings() if each.experiment != DEFAULT]
    if default is None or len(others) < 5:
        return NOT_RUN
    return _compared(found, _best(others), default, "gain")


def _ensemble(found: Found) -> Finding:
    single, together = found.setting(DEFAULT), found.ensemble(DEFAULT)
    if single is None or together is None:
        return NOT_RUN
    gain, text = compared(together, single.correct)
    ours = f"{text} (ensemble {100 * together.mean():.1f}, default {single})"
    return Finding(of_difference(gain, "gain"), ours, _runs(found, single))


def _measured(found: Found) -> Finding:
    fit, measures = fit_of(found), found.measures
    if fit is None or measures is None:
        return NOT_RUN
    emd = measures["emd_similarity"]
    ours = (
        f"random - fixed {100 * fit[0]:+.1f} +- {100 * fit[1]:.1f}; "
        f"Fisher {measures['fisher']:.2f} (noise {measures['fisher_floor']:.2f}); "
        f"EMD similarity {emd:.3f}"
    )
    return Finding("cannot be told", ours, f"{found.n_val} val. images")


def _conditional(
    found: Found, first: Setting | None, second: Setting | None, gain_where: Side
) -> Finding:
    """Compare two settings where the claim depends on how well the weights fit."""
    of = side(found)
    if first is None or second is None:
        return NOT_RUN
    expected: Expected = "gain" if of == gain_where else "no gain"
    finding = _compared(found, first, second, expected)
    ours = f"{finding.ours}; expected: {expected if of else 'not clear'}"
    return Finding(finding.word if of else "cannot be told", ours, finding.n)


def _compared(
    found: Found, first: Setting | None, second: Setting | None, expected: Expected
) -> Finding:
    if first is None or second is None:
        return NOT_RUN
    gain, text = compared(first.correct, second.correct)
    ours = f"{text} ({first.experiment} {first}, {second.experiment} {second})"
    return Finding(of_difference(gain, expected), ours, _runs(found, first))


def _best(settings: list[Setting]) -> Setting:
    """Return the setting with the best mean on validation."""
    return max(settings, key=lambda each: statistics.fmean(each.val))


def _range(low: float, high: float) -> str:
    return f"{low:g}" if low == high else f"{low:g} to {high:g}"


def _one_run(found: Found) -> str:
    return f"1 run, {found.n_val} val. images"


def _runs(found: Found, setting: Setting) -> str:
    return f"{len(setting.val)} runs, {found.n_test} test images"


CLAIMS = (
    Claim(
        "Where the weights fit (random initialisation is below fixed features) the optimal single "
        "rate is ten times lower than where they do not.",
        "4.2, Figure 1, Table 2",
        "fits: 0.0025 (Caltech), 0.002 (DTD); does not: 0.025 (Cars, Aircraft)",
        _rate,
    ),
    Claim(
        "More than one reinitialised layer has a lower optimal rate than one.",
        "4.3, Figure 2, Table 3",
        "Caltech 0.0025 to 0.015, Cars 0.025 to 0.015, Aircraft 0.025 to 0.02, DTD 0.002 to 0.001",
        _rate_of_layers,
        "Caltech's 0.015 in Table 3 is higher, not lower; it may be a misprint of 0.0015.",
    ),
    Claim(
        "More than one layer should be reinitialised where the weights fit, one where not.",
        "4.3, Table 3; 4.6, Table 7",
        "2 layers minus 1: Caltech +0.62, DTD +1.62, Cars 0.00, Aircraft -0.22",
        _layers,
        "4.3 says that more than one is best for all but Cars; Table 3 has one best for Aircraft, "
        "and Table 6 has three for Aircraft and one for Caltech.",
    ),
    Claim(
        "Lower rates for lower layers help where the weights do not fit, and only there.",
        "4.4, Figure 3, Table 4",
        "1 layer, minus default: Cars +0.27, Aircraft +0.54, Caltech +0.26, DTD +0.45",
        _low_layers,
        "By its own figures Caltech and DTD gain as much as Cars.",
    ),
    Claim(
        "L2-SP on all layers is better than L2 where the weights fit, and worse where not.",
        "4.5, Figure 4, Table 5",
        "minus L2: Caltech +0.83, DTD +1.02, Cars -0.17, Aircraft -0.49",
        _l2sp,
        "4.5 counts DTD among the sets on which L2-SP is worse; Table 5 has it better.",
    ),
    Claim(
        "Where L2-SP is worse, a lower alpha is better.",
        "4.5, Figure 4",
        "the best default alpha is 0.0001 on Cars, Aircraft and DTD, 0.01 on Caltech",
        _alpha,
    ),
    Claim(
        "L2-SP on the lower layers with L2 on the others is better than L2-SP on all layers.",
        "4.5, Figure 5, Table 5",
        "minus all layers: Cars +0.15, Aircraft +0.57, DTD 0.00; not Caltech",
        _mixed,
    ),
    Claim(
        "With more layers under L2 the optimal beta is lower.",
        "4.5",
        "beta 0.01 with L2-SP on all layers, 0.001 on some (Cars, Aircraft, DTD)",
        _beta,
    ),
    Claim(
        "The optimal settings are better than the default.",
        "abstract; 4.6, Table 6",
        "Caltech +0.83, Cars +0.27, Aircraft +0.72, DTD +1.60",
        _optimal,
        "DTD's optimum has L2-SP (78.90), and two layers without L2-SP have 78.92 (Table 3).",
    ),
    Claim(
        "An ensemble of the four runs is better than one run.",
        "Table 6",
        "with 10-crop, on the optimal settings: Caltech +1.42, Cars +0.49, Aircraft +0.61, DTD "
        "+0.89; ours is without 10-crop, on the default",
        _ensemble,
    ),
    Claim(
        "The Fisher score may stand in for random initialisation minus fixed features; the EMD "
        "similarity tells nothing.",
        "4.6, Table 7",
        "Fisher 1.35, 3.47 (fit) and 1.18, 0.83 (do not); EMD 0.568, 0.540 and 0.536, 0.557",
        _measured,
        "Four sets, or ours, are too few for an order: with three even the right one has a chance "
        "of one in six. Noise alone has a Fisher score of 0.2 to 5 at the paper's sizes.",
    ),
)
