"""Energy that trials used, by the counters of GPUs.

A GPU counts the energy it uses since its driver was loaded. A trial notes the two ends of its part
of that count. Where several workers share a GPU their parts overlap, and an overlap is one use of
energy: so parts are joined, not added.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

JOULES, SPANS = "energy_joules", "energy_spans"  # user attributes of a trial


@dataclass(frozen=True, slots=True)
class EnergySpan:
    """A part of a counter's count.

    Attributes:
        counter: the GPU, and since when it counts.
        begin, end: millijoules.
    """

    counter: str
    begin: int
    end: int


@dataclass(frozen=True, slots=True)
class TrialEnergy:
    """What is known of a trial's energy.

    Attributes:
        joules: that its GPU used while it ran, whoever else ran there.
        spans: where these lie; none where another program set the attribute.
    """

    joules: float
    spans: tuple[EnergySpan, ...] = ()


def energy_attrs(spans: Iterable[EnergySpan]) -> dict[str, object]:
    """Return the user attributes of a trial; none where nothing is known."""
    spans = tuple(spans)
    if not spans:
        return {}
    rows = [[span.counter, span.begin, span.end] for span in spans]
    return {JOULES: joules_of(spans), SPANS: rows}


def energy_of(attrs: Mapping[str, Any]) -> TrialEnergy | None:
    """Read what a trial's user attributes say; None where they say nothing of use."""
    joules = attrs.get(JOULES)
    if not isinstance(joules, int | float) or not 0 <= joules < float("inf"):
        return None
    return TrialEnergy(float(joules), spans_of(attrs))


def spans_of(attrs: Mapping[str, Any]) -> tuple[EnergySpan, ...]:
    """Read the spans of a trial's user attributes; what is none is passed over."""
    rows = attrs.get(SPANS)
    return tuple(
        EnergySpan(*row) for row in (rows if isinstance(rows, list) else ()) if _is_span(row)
    )


def joules_of(spans: Iterable[EnergySpan]) -> float:
    """Return the energy of spans, joules; what several have in common counts once."""
    by_counter: dict[str, list[tuple[int, int]]] = defaultdict(list)
    for span in spans:
        by_counter[span.counter].append((span.begin, span.end))
    return sum(map(_covered, by_counter.values())) / 1000


def total_joules(trials: Iterable[TrialEnergy]) -> float:
    """Return the energy of several trials, joules."""
    trials = list(trials)
    plain = sum(trial.joules for trial in trials if not trial.spans)
    return plain + joules_of(span for trial in trials for span in trial.spans)


def _covered(pairs: list[tuple[int, int]]) -> int:
    """Return the length of the union of intervals."""
    covered, reached = 0, -1
    for begin, end in sorted(pairs):
        covered += max(0, end - max(begin, reached))
        reached = max(reached, end)
    return covered


def _is_span(row: object) -> bool:
    if not (isinstance(row, list) and len(row) == 3):
        return False
    counter, begin, end = row
    numbers = isinstance(begin, int) and isinstance(end, int)
    return isinstance(counter, str) and numbers and 0 <= begin <= end
