"""The choice of a network as lines of text, and as plain values."""

import shlex
from typing import TYPE_CHECKING, Any

from tlsearch.cli.display import columns
from tlsearch.records.format import percent
from tlsearch.records.objective import (
    ACCURACY,
    figure_or_none,
    gain_unit,
    shown,
    signed_gain,
    words,
)

if TYPE_CHECKING:
    from tlsearch.records import Answer, TrialRecord
    from tlsearch.records.objective import Objective
    from tlsearch.studies.backbone_choice import BackboneChoice, Entrant
    from tlsearch.studies.backbone_screen import Screened


def screened_lines(choice: "BackboneChoice") -> list[str]:
    """Return what fixed features of each candidate reach, and which of them are trained."""
    with_imagenet = any(row.imagenet is not None for row in choice.screened)
    heading = ["", "model", "pixels", "parameters", "images/s", "fixed features", "gain"]
    rows = [_cells(row, choice) for row in choice.screened]
    if with_imagenet:
        heading.append("ImageNet")
        for cells, row in zip(rows, choice.screened, strict=True):
            cells.append(percent(row.imagenet))
    remarks = ["", *(row.refused or "" for row in choice.screened)]
    lines = columns([heading, *rows])
    return [
        *(f"{line}  {remark}".rstrip() for line, remark in zip(lines, remarks, strict=True)),
        f"fixed features: {words(choice.spec.objective)} of a linear classifier on the frozen "
        "network, on validation; gain: over the spec's own network; -> = is trained",
    ]


def _width(objective: "Objective", sd: float) -> str:
    return signed_gain(objective, sd).lstrip("+")


def _cells(row: "Screened", choice: "BackboneChoice") -> list[str]:
    trained = {(each.candidate.model, each.candidate.image_size) for each in choice.entrants}
    mark = "->" if (row.model, row.image_size) in trained else ""
    cells = [mark, row.model, str(row.image_size)]
    if row.score is None or row.error is None:
        return [*cells, "-", "-", "-", "-"]
    by = row.objective
    gain = f"{signed_gain(by, row.gain or 0)} +- {_width(by, row.gain_error or 0)}"
    return [
        *cells,
        f"{(row.parameters or 0) / 1e6:.1f} M",
        f"{row.images_per_second or 0:.0f}",
        f"{shown(by, row.score)} +- {_width(by, row.error)}",
        gain if row.gain_error else "-",
    ]


def next_lines(choice: "BackboneChoice") -> list[str]:
    """Return how the trained candidates stand, and what is next."""
    lines = ["", *_entrant_lines(choice)]
    names = " ".join(map(shlex.quote, choice.studies))
    if choice.winner is None:
        return [
            *lines,
            f"next: the first trials of each; any number of workers: tlsearch worker {names}",
        ]
    winner = choice.winner
    if choice.step == "done":
        return [*lines, f"chosen: {winner.candidate}: tlsearch best {shlex.quote(winner.study)}"]
    ahead = ""
    if choice.lead is not None:
        gain, error = choice.lead
        chance = "" if gain > 2 * error else ", which may be chance"
        objective = choice.spec.objective
        by = f"{signed_gain(objective, gain)} +- {_width(objective, error)}"
        ahead = f", {by}{gain_unit(objective)} over the next one{chance}"
    return [
        *lines,
        f"chosen: {winner.candidate}{ahead}",
        f"next: its search; any number of workers: tlsearch worker {names}",
    ]


def _entrant_lines(choice: "BackboneChoice") -> list[str]:
    heading = ["study", "fixed features", "best trial", "recommended", "trials"]
    return columns([heading, *(_entrant_cells(each) for each in choice.entrants)])


def _entrant_cells(entrant: "Entrant") -> list[str]:
    status = entrant.status
    return [
        entrant.study,
        *(_val(each) for each in (status.floor, status.best)),
        _val(entrant.answer),
        f"{status.ended} of {status.budget_trials}",
    ]


def _val(found: "TrialRecord | Answer | None") -> str:
    return "-" if found is None else shown(found.objective, found.score)


def choice_as_json(choice: "BackboneChoice") -> dict[str, Any]:
    """Return the choice as plain values; fractions, a log loss in nats."""
    lead = choice.lead
    return {
        "name": choice.spec.name,
        "objective": choice.spec.objective,
        "screened": [_screened_as_json(row) for row in choice.screened],
        "entrants": [
            {
                "study": each.study,
                "model": each.candidate.model,
                "image_size": each.candidate.image_size,
                "val_accuracy": each.val_accuracy,
                "val_objective": None if each.answer is None else each.answer.val_objective,
                "fixed_features": each.status.fixed_features_val_accuracy,
                "ended": each.status.ended,
                "budget_trials": each.status.budget_trials,
            }
            for each in choice.entrants
        ],
        "winner": None if choice.winner is None else choice.winner.study,
        "lead": None if lead is None else lead[0],
        "lead_error": None if lead is None else lead[1],
        "step": choice.step,
        "studies": choice.studies,
    }


def _screened_as_json(row: "Screened") -> dict[str, Any]:
    """Return a row; `val_accuracy` is None where another objective was measured."""
    values = row.as_dict()
    score = values.pop("score")
    return {
        **values,
        "val_accuracy": score if row.objective == ACCURACY else None,
        "val_objective": figure_or_none(row.objective, score),
    }
