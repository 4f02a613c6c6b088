"""The prior: from domain measures to where the search starts, and the trials queued for it."""

from tlsearch.prior.queue import normal_priors, starting_trials
from tlsearch.prior.rule import (
    DISAGREEMENT,
    build_prior,
    check_overrides,
    density,
    fisher_unfit,
    lr_scale,
    prior_of,
    rule_of,
    unfit_weight,
)

__all__ = [
    "DISAGREEMENT",
    "build_prior",
    "check_overrides",
    "density",
    "fisher_unfit",
    "lr_scale",
    "normal_priors",
    "prior_of",
    "rule_of",
    "starting_trials",
    "unfit_weight",
]
