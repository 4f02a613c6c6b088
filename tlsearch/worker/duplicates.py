"""Finds an earlier trial that trained the same model."""

from collections.abc import Sequence
from contextlib import suppress

from optuna.trial import FrozenTrial, TrialState

from tlsearch.records import AS_RECIPE, Hyperparameters, Variation

Key = tuple[float | str, ...]


class Duplicates:
    """The complete trials of a study by what they trained.

    That is their canonical hyperparameters, their seed, and the images they were trained on.

    Args:
        recipe_seed: the seed of trials that have none of their own.
    """

    def __init__(self, recipe_seed: int = 0) -> None:
        self._recipe_seed = recipe_seed
        self._n_read = 0
        self._by_values: dict[Key, FrozenTrial] = {}

    def find(
        self,
        finished: Sequence[FrozenTrial],
        canonical: Hyperparameters,
        variation: Variation = AS_RECIPE,
    ) -> FrozenTrial | None:
        """Return a complete trial that trained the same, if there is one.

        Args:
            finished: the study's finished trials; those of the last call come first, unchanged.
            canonical: the hyperparameters to look for.
            variation: the seed and the images to look for.
        """
        for trial in finished[self._n_read :]:
            values = trial.user_attrs.get("canonical")
            if trial.state is TrialState.COMPLETE and isinstance(values, dict):
                with suppress(ValueError):  # attributes of another program
                    own = Variation.from_attrs(trial.user_attrs)
                    key = self._key(Hyperparameters.from_dict(values), own)
                    self._by_values.setdefault(key, trial)
        self._n_read = len(finished)
        return self._by_values.get(self._key(canonical, variation))

    def _key(self, canonical: Hyperparameters, variation: Variation) -> Key:
        seed = self._recipe_seed if variation.seed is None else variation.seed
        return (*canonical.as_dict().values(), seed, variation.train_on)
