"""How figures are written for people."""

import math

LABEL_SEPARATOR = "|"  # between several labels of an image


def percent(fraction: float | None) -> str:
    """Return a fraction as `91.2 %`; `-` for None and for what is not finite."""
    if fraction is None or not math.isfinite(fraction):
        return "-"
    return f"{100 * fraction:.1f} %"


def val_percent(fraction: float | None, train_on: str = "train") -> str:
    """Return a validation accuracy; it says where those images were trained on."""
    text = percent(fraction)
    return text if train_on == "train" or text == "-" else f"{text} (trained on)"


def expected_percent(accuracy: float | None, sd: float | None) -> str:
    """Return an expected accuracy and its standard deviation as `79.5 ± 2.9 %`; `-` for None."""
    if accuracy is None or sd is None:
        return "-"
    return f"{100 * accuracy:.1f} ± {100 * sd:.1f} %"


def points(fraction: float) -> str:
    """Return a difference of two fractions as `1.2 points` (of a per cent), without its sign."""
    return f"{abs(100 * fraction):.1f} points"


def p_value(p: float) -> str:
    """Return a p-value as `p = 0.019`, or as `p < 0.001` where it is smaller than that."""
    return "p < 0.001" if p < 0.001 else f"p = {p:.3f}"


def duration(seconds: float | None) -> str:
    """Return seconds as `1:02:03` or `2:03`; `-` for None and for what is not finite."""
    if seconds is None or not math.isfinite(seconds):
        return "-"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
