"""How figures are written for people."""


def percent(fraction: float | None) -> str:
    """Return a fraction as `91.2 %`; `-` for None."""
    return "-" if fraction is None else f"{100 * fraction:.1f} %"


def points(fraction: float) -> str:
    """Return a difference of two fractions as `1.2 points` (of a per cent), without its sign."""
    return f"{abs(100 * fraction):.1f} points"


def duration(seconds: float | None) -> str:
    """Return seconds as `1:02:03` or `2:03`; `-` for None."""
    if seconds is None:
        return "-"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
