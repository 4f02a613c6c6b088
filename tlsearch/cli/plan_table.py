"""A plan as lines of text, and as plain values."""

import shlex
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from tlsearch.cli.display import columns, rising_as_json
from tlsearch.records.format import duration, percent
from tlsearch.records.objective import Objective, accuracy_or_precision, words
from tlsearch.report.rising import rising_sentence

if TYPE_CHECKING:
    from tlsearch.studies.plan import OwnTrials, Plan
    from tlsearch.studies.plan_cost import Cost
    from tlsearch.studies.plan_rule import Combination, SizeFacts

SHOWN = 12  # combinations in the table
UNSTEADY = 0.5  # (slowest - fastest) / median burst that is remarked upon


def plan_as_json(plan: "Plan") -> dict[str, Any]:
    """Return a plan as plain values; accuracies are fractions, times seconds."""
    own = plan.own
    return {
        "name": plan.spec.name,
        "budget_seconds": plan.seconds,
        "workers": plan.workers,
        "device": plan.device,
        "fixed_features_in": _figure(plan),
        "n_train": plan.n_train,
        "n_val": plan.n_val,
        "sizes": [asdict(facts) for facts in plan.sizes],
        "combinations": [asdict(one) for one in plan.found],
        "proposed": asdict(plan.chosen) if plan.chosen else None,
        "least_seconds": plan.least,
        "planning_seconds": plan.measured_seconds,
        "as_it_is": _cost_as_json(plan.as_it_is),
        "proposed_cost": None if plan.cost is None else _cost_as_json(plan.cost),
        "own_trials": None if own is None else asdict(own) | {"rising": rising_as_json(own.rising)},
    }


def plan_lines(plan: "Plan") -> list[str]:
    """Return what was measured, what fits, and what is proposed."""
    shared = f", shared by {plan.workers} workers" if plan.workers > 1 else ""
    budget = "none" if plan.seconds is None else f"{duration(plan.seconds)}{shared}"
    lines = [
        f"budget    {budget}; on {plan.device}; {_images(plan)}",
        f"planning  took {duration(plan.measured_seconds)}",
        *_cost_lines("the spec", plan.as_it_is, plan.device),
        "",
        *_size_lines(plan),
        "",
    ]
    if plan.seconds is None:
        how = "to see what time is best spent on: --minutes M, --gpu-hours H or budget.gpu_hours"
        return [*lines[:-1], *_own_lines(plan.own), "", how]
    if plan.chosen is None:
        least = "no size can be used" if plan.least is None else f"at least {duration(plan.least)}"
        return [*lines, f"nothing fits into this budget; it takes {least}", *_own_lines(plan.own)]
    lines += [*_combination_lines(plan.found, plan.chosen), *_own_lines(plan.own), ""]
    return [*lines, *_proposal(plan, plan.chosen)]


def _images(plan: "Plan") -> str:
    folds = plan.spec.data.folds
    if folds:
        return f"{plan.n_val} images to train and to validate in {folds} folds"
    return f"{plan.n_train} images to train, {plan.n_val} to validate"


def _cost_as_json(cost: "Cost") -> dict[str, Any]:
    disk = {**asdict(cost.disk), "total": cost.disk.total}
    return {**asdict(cost), "disk": disk, "gpu_hours": cost.gpu_hours}


def _cost_lines(what: str, cost: "Cost", device: str) -> list[str]:
    """Return what a study costs: time, disk, memory."""
    from tlsearch.data import as_text

    disk = cost.disk
    parts = [
        f"{name} {as_text(each)}"
        for name, each in (
            ("checkpoints", disk.checkpoints),
            ("models", disk.models),
            ("decoded images", disk.images),
        )
        if each
    ]
    memory = "not measured at this size"
    if cost.memory_bytes is not None:
        where = "of a worker's process" if device == "cpu" else "of a worker, on the GPU"
        memory = f"{as_text(cost.memory_bytes)} {where}, with all images"
    return [
        f"{what:<9} {cost.trials} trials of {cost.epochs} epochs at {cost.image_size} pixels: "
        f"{duration(cost.total_seconds)}, {cost.gpu_hours:.3g} GPU-hours; none pruned",
        f"disk      {as_text(disk.total)} at most: {', '.join(parts)}",
        f"memory    {memory}",
    ]


def _size_lines(plan: "Plan") -> list[str]:
    heading = ["pixels", "a training image", "a validation image", "fixed features", "gain"]
    rows = [
        [*_size_cells(facts, plan.spec.recipe.image_size), _remarks(facts)] for facts in plan.sizes
    ]
    aligned = columns([heading, *(row[:-1] for row in rows)])
    remarks = ["", *(row[-1] for row in rows)]
    lines = [f"{line}  {remark}".rstrip() for line, remark in zip(aligned, remarks, strict=True)]
    if plan.spec.data.multi_label:
        lines.append(f"fixed features by {words(_figure(plan))}")
    return lines


def _figure(plan: "Plan") -> Objective:
    """Return what fixed features are measured in."""
    return accuracy_or_precision(several=plan.spec.data.multi_label)


def _size_cells(facts: "SizeFacts", own: int) -> list[str]:
    pace, probe = facts.pace, facts.probe
    times = ["-", "-"]
    if pace is not None:
        times = [f"{1000 * pace.step_image:.3g} ms", f"{1000 * pace.val_image:.3g} ms"]
    if probe is None:
        return [str(facts.image_size), *times, "-", "-"]
    features = f"{percent(probe.val_accuracy)} +- {100 * probe.error:.1f}"
    gain = f"{100 * probe.gain:+.1f} +- {100 * probe.gain_error:.1f}"
    return [str(facts.image_size), *times, features, "-" if facts.image_size == own else gain]


def _remarks(facts: "SizeFacts") -> str:
    if facts.refused is not None:
        return facts.refused
    remarks = []
    if facts.pace is not None and facts.pace.bursts == 0:
        remarks.append("estimated from another size")
    elif facts.pace is not None and facts.pace.spread > UNSTEADY:
        remarks.append(f"bursts differ by {facts.pace.spread:.0%}: other programs run, too")
    if facts.upscaled:
        remarks.append("more pixels than the files hold")
    if facts.no_probe is not None:
        remarks.append(facts.no_probe)
    return "; ".join(remarks)


def _combination_lines(found: Sequence["Combination"], chosen: "Combination") -> list[str]:
    heading = ["", "pixels", "epochs", "trials", "a trial", "measures", "in all", "rule"]
    shown = list(found[:SHOWN])
    if chosen not in shown:
        shown[-1] = chosen
    rows = [
        [
            "->" if one == chosen else "",
            *(str(number) for number in (one.image_size, one.epochs, one.trials)),
            duration(one.trial_seconds),
            f"{duration(one.measuring_seconds)} ({one.measuring_seconds / one.total_seconds:.0%})",
            duration(one.total_seconds),
            f"{100 * one.points:+.1f}",
        ]
        for one in shown
    ]
    lines = columns([heading, *rows])
    more = len(found) - len(shown)
    return [*lines, *([f"and {more} more; --json has all"] if more else [])]


def _own_lines(own: "OwnTrials | None") -> list[str]:
    if own is None:
        return []
    if own.n_complete == 0:
        return ["", "the study exists; none of its trials is complete"]
    lines = [
        "",
        f"the study exists: {own.n_complete} complete trials at {own.image_size} pixels and "
        f"{own.epochs} epochs, the best {percent(own.best)}, {duration(own.seconds)} a trial",
    ]
    if own.rising is not None:
        longer = rising_sentence(own.rising)
        lines.append(
            longer or "its curves do not rise at their end beyond noise, which says little"
        )
    return lines


def _proposal(plan: "Plan", chosen: "Combination") -> list[str]:
    wall = chosen.total_seconds / plan.workers
    lines = [
        f"proposed: recipe.image_size = {chosen.image_size}, recipe.epochs = {chosen.epochs}, "
        f"budget.trials = {chosen.trials}: about {duration(wall)}",
        '"rule" is points over this spec at 10 epochs by a rule of thumb, to compare them by; '
        "measures come before the search; pruning will save some of it",
    ]
    if plan.spec.data.multi_label:
        lines.append(
            "the rule was made from accuracies of one label an image; mean average precision "
            "stands in their place here, untested"
        )
    if plan.cost is not None:
        lines[1:1] = _cost_lines("it costs", plan.cost, plan.device)
    if plan.own is not None:
        name = shlex.quote(plan.spec.name)
        lines.append(f"study {name} exists: give the planned spec another name")
    return lines
