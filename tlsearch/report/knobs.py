"""What the runs of a study `NAME/knobs` come to."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from tlsearch.records import HYPERPARAMETER_NAMES
from tlsearch.records.knobs import (
    DEFAULT_RUN,
    WINNER_RUN,
    Knob,
    KnobGain,
    KnobsPlan,
    KnobsTable,
    RangeEnd,
    added_name,
    taken_name,
)
from tlsearch.records.objective import ACCURACY, Objective
from tlsearch.report.finals import EndedRun, right_by_seed
from tlsearch.report.paired import paired_gain

if TYPE_CHECKING:
    from tlsearch.report.finals import Worth

Rights = Mapping[str, Mapping[int, "Worth"]]
Importances = Mapping[str, Mapping[str, float]]


def knobs_of(
    study: str,
    plan: KnobsPlan,
    runs: Sequence[EndedRun],
    importances: Importances,
    ends: Sequence[RangeEnd] = (),
    objective: Objective = ACCURACY,
) -> KnobsTable:
    """Return which knob paid.

    Args:
        study: name of the search.
        plan: of the study of knobs.
        runs: of every trial of that study that is a run.
        importances: of Optuna, by evaluator and hyperparameter.
        ends: where the best trials of the search lie at the end of a range.
        objective: what the gains are of.
    """
    right = right_by_seed(runs)
    differing = plan.differing
    moved = {name for names in differing for name in names}
    return KnobsTable(
        study=study,
        winner=plan.winner_name,
        knobs=tuple(_knob(plan, names, right, importances) for names in differing),
        same=tuple(name for name in HYPERPARAMETER_NAMES if name not in moved),
        whole=_gain(WINNER_RUN, DEFAULT_RUN, right),
        done=sum(each.failed or each.run is not None for each in runs),
        planned=len(plan.runs()),
        ends=tuple(ends),
        taken=sum(each.is_copy for each in runs),
        objective=objective,
    )


def _knob(plan: KnobsPlan, names: tuple[str, ...], right: Rights, importances: Importances) -> Knob:
    plain, ours = (
        each.canonical(plan.n_body_layers).as_dict() for each in (plan.default, plan.winner)
    )
    fanova, ped_anova = (
        sum(found.get(name, 0.0) for name in names) if found else None
        for found in (importances.get("fanova"), importances.get("ped_anova"))
    )
    return Knob(
        names=names,
        default=tuple(plain[name] for name in names),
        winner=tuple(ours[name] for name in names),
        added=_gain(added_name(names), DEFAULT_RUN, right),
        taken=_gain(WINNER_RUN, taken_name(names), right),
        fanova=fanova,
        ped_anova=ped_anova,
    )


def _gain(name: str, other: str, right: Rights) -> KnobGain | None:
    """Compare two at the seeds that both have; None where that is none."""
    import numpy as np

    ours, theirs = right.get(name, {}), right.get(other, {})
    seeds = sorted(set(ours) & set(theirs))
    if not seeds:
        return None
    found = paired_gain(*(np.stack([each[seed] for seed in seeds]) for each in (ours, theirs)))
    return KnobGain(found.gain, found.error, found.low, found.high, len(seeds))
