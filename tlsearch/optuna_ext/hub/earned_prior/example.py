"""A right prior is followed, a wrong one is dropped. Loads the folder that this file is in."""

from collections import Counter
from pathlib import Path

import optuna
import optunahub

FOLDER = Path(__file__).resolve().parent
module = optunahub.load_local_module(FOLDER.name, registry_root=str(FOLDER.parent))


def objective(trial: optuna.Trial) -> float:
    """Return a loss that is lowest at lr = 0.02 and depth = 7."""
    lr = trial.suggest_float("lr", 1e-5, 1.0, log=True)
    depth = trial.suggest_int("depth", 1, 12)
    return abs(lr - 0.02) + abs(depth - 7)


def search(lr: float, depth: int) -> None:
    """Search with a prior that has its mode there."""
    priors = {
        "lr": module.NormalPrior(mode=lr, spread=0.5),
        "depth": module.NormalPrior(mode=depth, spread=1.5),
    }
    study = optuna.create_study(sampler=module.EarnedPriorSampler(priors, seed=0))
    study.optimize(objective, n_trials=60)
    drawn_by = Counter(trial.system_attrs[module.COMPONENT] for trial in study.trials)
    print(f"prior at lr {lr}, depth {depth}: best {study.best_value:.4f}; {dict(drawn_by)}")


if __name__ == "__main__":
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    search(lr=0.01, depth=6)
    search(lr=0.9, depth=1)
