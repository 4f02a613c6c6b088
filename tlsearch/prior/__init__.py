"""The prior: from the domain measures to the start of the search and its queued trials."""

from tlsearch.prior.fit import fisher_unfit, unfit_weight
from tlsearch.prior.queue import most_starting_trials, normal_priors, starting_trials
from tlsearch.prior.rule import (
    DISAGREEMENT,
    STRENGTH_UNIT,
    build_prior,
    check_overrides,
    density,
    lr_scale,
    prior_of,
    rule_of,
)

__all__ = [
    "DISAGREEMENT",
    "STRENGTH_UNIT",
    "build_prior",
    "check_overrides",
    "density",
    "fisher_unfit",
    "lr_scale",
    "most_starting_trials",
    "normal_priors",
    "prior_of",
    "rule_of",
    "starting_trials",
    "unfit_weight",
]
