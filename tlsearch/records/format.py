"""How figures are written for people."""


def percent(fraction: float | None) -> str:
    """Return a fraction as `91.2 %`; `-` for None."""
    return "-" if fraction is None else f"{100 * fraction:.1f} %"
