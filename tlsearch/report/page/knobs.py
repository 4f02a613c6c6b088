"""Which knob of the winner paid, by trainings of its own."""

from collections.abc import Sequence

from tlsearch.records.knobs import Knob, KnobGain, KnobsTable
from tlsearch.records.objective import (
    Objective,
    gain_unit,
    plot_factor,
    signed_gain,
    words,
)
from tlsearch.report.page.facts import Facts
from tlsearch.report.page.section import Drawn, Figure, Row, Section, Table
from tlsearch.report.page.style import BLUE, INK, ORANGE, drawing
from tlsearch.report.page.words import count, exact, joined, number

SLUG = "knobs"
TITLE = "Which knob paid"


def section(facts: Facts) -> Section:
    """Return what each knob brings, or how to learn it."""
    known = facts.extras.knobs
    if known is None or not known.done:
        missing = (
            "It is not known yet which knob of the best settings pays. That takes trainings of its "
            "own, from the default to the winner one knob at a time and back, once there are "
            "finalists; importances above are a weaker hint, from the search's own trials."
        )
        return Section(SLUG, TITLE, (missing,), commands=(f"tlsearch knobs {facts.name}",))
    told = any(_gains(knob) for knob in known.knobs)
    return Section(
        SLUG,
        TITLE,
        words=tuple(_words(known)),
        figures=(_figure(known),) if told else (),
        tables=(_table(known),),
    )


def _words(known: KnobsTable) -> list[str]:
    said = []
    if known.whole is not None:
        said.append(
            f"From the default to {known.winner}: {_gain(known.whole, known.objective)} in all."
        )
    if known.same:
        said.append(f"The same in both: {joined(known.same)}.")
    if known.taken:
        taken = f"{known.taken} of {known.planned} runs"
        said.append(f"{taken} are those of the finalists, which had trained the same.")
    if known.done < known.planned:
        said.append(f"{known.done} of {known.planned} runs have ended so far.")
    return said


def _figure(known: KnobsTable) -> Figure:
    caption = (
        f"What each knob brings, with its 95 % interval, over {count(_seeds(known), 'seed')}: "
        "added to the default (circle), and lost where the winner goes without it (square). An "
        "interval that holds 0 cannot tell. The paper changed one or two settings at a time and "
        "found that which of them pays differs between its data sets."
    )
    data: list[Row] = [("knob", "change", "gain", "low", "high", "seeds")]
    for knob in known.knobs:
        for change, gain in _gains(knob):
            figures = (exact(gain.gain), exact(gain.low), exact(gain.high), str(gain.n_seeds))
            data.append((_name(knob), change, *figures))
    listed = "; ".join(
        f"{_name(knob)} {change} {_gain(gain, known.objective)}"
        for knob in known.knobs
        for change, gain in _gains(knob)
    )
    return Figure(
        SLUG,
        "Gain by knob",
        caption,
        f"Gains: {listed}",
        _draw(known.knobs, known.objective),
        tuple(data),
    )


def _draw(knobs: Sequence[Knob], objective: Objective) -> Drawn:
    factor = abs(plot_factor(objective))
    with drawing(SLUG, 0.62 * len(knobs) + 0.9) as canvas:
        axes = canvas.axes
        axes.axvline(0, color=INK, lw=0.8)
        for place, knob in enumerate(knobs):
            for change, gain in _gains(knob):
                is_added = change == "added"
                y, color = place + (-0.15 if is_added else 0.15), BLUE if is_added else ORANGE
                axes.plot([factor * gain.low, factor * gain.high], [y, y], color=color, lw=2)
                axes.plot([factor * gain.gain], [y], "o" if is_added else "s", color=color, ms=6)
        axes.set_yticks(range(len(knobs)), [" +\n".join(knob.names) for knob in knobs])
        axes.set_ylim(len(knobs) - 0.4, -0.6)
        axes.set_xlabel(_axis(objective))
        axes.grid(axis="x")
        axes.margins(x=0.1)
    return canvas.drawn


def _table(known: KnobsTable) -> Table:
    rows: list[Row] = [("knob", "default", "winner", "added", "taken away")]
    for knob in known.knobs:
        values = (_values(knob.default), _values(knob.winner))
        rows.append(
            (
                _name(knob),
                *values,
                _gain(knob.added, known.objective),
                _gain(knob.taken, known.objective),
            )
        )
    unit = gain_unit(known.objective).strip().capitalize() or f"Less {words(known.objective)}"
    note = f"{unit}, with a 95 % interval. Taken away: what the winner loses without the knob."
    return Table(SLUG, "Knob by knob", tuple(rows), note)


def _gains(knob: Knob) -> list[tuple[str, KnobGain]]:
    both = (("added", knob.added), ("taken away", knob.taken))
    return [(change, gain) for change, gain in both if gain is not None]


def _seeds(known: KnobsTable) -> int:
    return max((gain.n_seeds for knob in known.knobs for _, gain in _gains(knob)), default=0)


def _gain(gain: KnobGain | None, objective: Objective) -> str:
    if gain is None:
        return "-"
    brings, low, high = (signed_gain(objective, v) for v in (gain.gain, gain.low, gain.high))
    return f"{brings}{gain_unit(objective)} ({low} to {high}, n = {gain.n_seeds})"


def _axis(objective: Objective) -> str:
    unit = gain_unit(objective).strip() or "nats less"
    return f"gain in validation {words(objective)}, {unit}"


def _name(knob: Knob) -> str:
    return " + ".join(knob.names)


def _values(values: Sequence[float]) -> str:
    return ", ".join(map(number, values))
