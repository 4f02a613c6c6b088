"""Finds an earlier trial that trained the same model."""

from collections.abc import Sequence

from optuna.trial import FrozenTrial, TrialState

from tlsearch.records import Hyperparameters


class Duplicates:
    """The complete trials of a study by their canonical hyperparameters."""

    def __init__(self) -> None:
        self._n_read = 0
        self._by_values: dict[tuple[float, ...], FrozenTrial] = {}

    def find(
        self, finished: Sequence[FrozenTrial], canonical: Hyperparameters
    ) -> FrozenTrial | None:
        """Return a complete trial with these canonical hyperparameters, if there is one.

        Args:
            finished: the study's finished trials; those of the last call come first, unchanged.
            canonical: what to look for.
        """
        for trial in finished[self._n_read :]:
            values = trial.user_attrs.get("canonical")
            if trial.state is TrialState.COMPLETE and isinstance(values, dict):
                self._by_values.setdefault(_key(Hyperparameters.from_dict(values)), trial)
        self._n_read = len(finished)
        return self._by_values.get(_key(canonical))


def _key(hyperparameters: Hyperparameters) -> tuple[float, ...]:
    return tuple(hyperparameters.as_dict().values())
