"""The study of one trial that trains the same network from random weights.

Plested et al., section 4.1 and Table 1, column "trained from random initialization". Section 5: the
difference from fixed features is clear also with hyperparameters that are not the best ones.
"""

import math

from tlsearch.records import Hyperparameters, Range, measures_study_name
from tlsearch.records.objective import accuracy_or_precision
from tlsearch.spec import (
    BudgetSpec,
    MeasuresSpec,
    PriorSpec,
    PrunerSpec,
    SamplerSpec,
    SpaceSpec,
    StudySpec,
)

MOST_SHARE = 0.2  # of the study's epochs, unless the spec's share is larger
WEIGHT_DECAY = {"sgd": 1e-4, "adamw": 1e-2}


def random_init_epochs(spec: StudySpec) -> int:
    """Return the epochs that the share of the budget allows, and those of one trial at least.

    That least is cut where the budget has few trials: to `MOST_SHARE` of all epochs.
    """
    total = spec.budget.trials * spec.recipe.epochs
    share = spec.measures.random_init_share
    wanted = max(spec.recipe.epochs, round(share * total))
    return max(1, min(wanted, math.floor(max(share, MOST_SHARE) * total)))


def random_init_spec(spec: StudySpec, n_body_layers: int) -> StudySpec:
    """Return the spec of the study `NAME/measures`.

    Its space is one point: every layer reinitialised, one rate, plain L2.
    """
    everything = random_init(spec, n_body_layers)
    fixed = {name: Range(value, value) for name, value in everything.as_dict().items()}
    epochs = random_init_epochs(spec)
    return spec.model_copy(
        update={
            "name": measures_study_name(spec.name),
            "recipe": spec.recipe.model_copy(
                update={
                    "epochs": epochs,
                    "warmup_epochs": min(spec.recipe.warmup_epochs, epochs - 1),
                    "ema_epochs": min(spec.recipe.ema_epochs, float(epochs)),
                }
            ),
            "space": SpaceSpec(**fixed),
            # What the measures are in, whatever the search makes best.
            "objective": accuracy_or_precision(several=spec.data.multi_label),
            "measures": MeasuresSpec(when="off"),
            "prior": PriorSpec(),
            "sampler": SamplerSpec(name="random"),
            "pruner": PrunerSpec(name="none"),
            "budget": BudgetSpec(trials=1),
            "checkpoints": spec.checkpoints.model_copy(update={"keep_best": 0}),
        }
    )


def random_init(spec: StudySpec, n_body_layers: int) -> Hyperparameters:
    """Return the hyperparameters of training from random weights."""
    return Hyperparameters(
        reinit_layers=n_body_layers + 1,
        high_lr=spec.measures.random_init_lr,
        low_lr_ratio=1.0,
        low_layers=0,
        alpha=0.0,
        beta=WEIGHT_DECAY[spec.recipe.optimizer],
        l2sp_layers=0,
    )
