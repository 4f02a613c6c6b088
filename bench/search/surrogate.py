"""What accuracy would hyperparameters that nobody has run reach? A regression on real fine-tunes.

    OMP_NUM_THREADS=1 python bench/search/surrogate.py [TARGET ...]

Fits, for each table that `table.py` wrote, Gaussian processes and forests of trees from the seven
hyperparameters to the whole learning curve, keeps the one with the lowest cross-validated error of
the final accuracy, and prints how good each is. `replay.py` searches on the result.

A fine-tune is replayed as the predicted curve plus a residual curve: that of one of the 40 trials
of the table whose expected accuracy is nearest (good configurations vary less than bad ones),
predicted by models that had not seen it. Such a residual is the run's own noise and the model's
error together, so replayed accuracies are somewhat noisier than real ones.
"""

import argparse
import json
import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.stats import spearmanr
from sklearn.ensemble import ExtraTreesRegressor, RandomForestRegressor
from sklearn.exceptions import ConvergenceWarning
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, ConstantKernel, WhiteKernel
from sklearn.model_selection import KFold

from tlsearch.records import FIXED_FEATURES, Hyperparameters
from tlsearch.space import SearchSpace

RESULTS = Path(__file__).resolve().parent / "results"
FOLDS, REPEATS, TREES = 10, 3, 200
ALIKE = 40  # trials of the table, by expected accuracy, that a residual is taken from
NOISE = 1_954  # keeps its generators apart from the samplers', which begin with the seed

# Accuracies below count as this one. At rates from .05 on some of these long trainings with batches
# of 8 diverge, to anything between 7 and 45 %: no model of 160 trials knows to what, and one that
# tries is wrong about the others (R2 of the Gaussian process -0.09; with the floor 0.57).
FLOORS: Mapping[str, float] = {"emoji-long": 0.47}

Array = NDArray[np.float64]
Predict = Callable[[Array], Array]
Fit = Callable[[Array, Array], Predict]


@dataclass(frozen=True)
class Table:
    """The real fine-tunes of one target.

    Attributes:
        target: its name.
        space: the ranges they were drawn from.
        n_train, n_val: training and validation images.
        hyperparameters: of each complete trial.
        curves: its validation accuracy after each epoch, (trials, epochs).
        epoch_seconds: median over the trials of the seconds an epoch took.
        left_out: trials that did not reach their last epoch.
    """

    target: str
    space: SearchSpace
    n_train: int
    n_val: int
    hyperparameters: tuple[Hyperparameters, ...]
    curves: Array
    epoch_seconds: float
    left_out: int

    @cached_property
    def final(self) -> Array:
        """Validation accuracy after the last epoch."""
        return self.curves[:, -1]

    def features(self, hyperparameters: Hyperparameters, canonical: bool) -> list[float]:
        """Return what the regression sees; rates and strengths as log10.

        The last feature is 1 where training starts from the linear probe (`reinit_layers` 0), which
        is another kind of training: its batch norm is frozen.

        Args:
            hyperparameters: of one trial.
            canonical: knobs without effect at their neutral value, alpha's being its least.
        """
        if canonical:
            hyperparameters = hyperparameters.canonical(self.space.n_body_layers)
        values = hyperparameters.as_dict()
        layers = [values[name] for name in ("reinit_layers", "low_layers", "l2sp_layers")]
        rates = [
            math.log10(max(values[name], self.space.ranges[name].low, 1e-9))
            for name in ("high_lr", "low_lr_ratio", "alpha", "beta")
        ]
        return [*layers, *rates, float(values["reinit_layers"] == 0)]


@dataclass(frozen=True)
class Scores:
    """Cross-validated figures of one model's final accuracy, the mean of the repetitions.

    Attributes:
        r2: share of the variance explained.
        rmse: root of the mean squared error.
        rank: Spearman's correlation of predicted and real accuracies.
        rank_best_half: the same among the trials above the median, where a search spends its time.
    """

    r2: float
    rmse: float
    rank: float
    rank_best_half: float


@dataclass(frozen=True)
class Surrogate:
    """Predicts and replays the fine-tunes of one target.

    Attributes:
        table: what it was fitted to.
        model: name of the chosen model.
        canonical: whether it sees canonical hyperparameters.
        predict: from standardised features to curves.
        centre, scale: the features' mean and standard deviation.
        residuals: real minus out-of-fold predicted curves, (trials, epochs).
        scores: of every candidate by name.
    """

    table: Table
    model: str
    canonical: bool
    predict: Predict
    centre: Array
    scale: Array
    residuals: Array
    scores: Mapping[str, Scores]

    def mean_curve(self, hyperparameters: Hyperparameters) -> Array:
        """Return the expected accuracy after each epoch."""
        curve: Array = self.mean_curves([hyperparameters])[0]
        return curve

    def mean_curves(self, hyperparameters: list[Hyperparameters]) -> Array:
        """Return the same for several, a row each."""
        rows = [self.table.features(one, self.canonical) for one in hyperparameters]
        return np.clip(self.predict((np.array(rows) - self.centre) / self.scale), 0.0, 1.0)

    def observed(self, mean_curve: Array, seed: int, number: int) -> Array:
        """Return a curve as one run would show it, the same for the same seed and trial number."""
        chance = np.random.default_rng([NOISE, seed, number]).integers(ALIKE)
        return self._replayed(mean_curve, self._alike(mean_curve)[chance])

    def expected(self, mean_curve: Array) -> float:
        """Return the mean of the final accuracies that `observed` can show."""
        shown = [self._replayed(mean_curve, row)[-1] for row in self._alike(mean_curve)]
        return float(np.mean(shown))

    def _alike(self, mean_curve: Array) -> NDArray[np.intp]:
        """Return the rows of the table that a residual may come from."""
        expected = self.table.final - self.residuals[:, -1]
        return np.argsort(np.abs(expected - mean_curve[-1]), kind="stable")[:ALIKE]

    def _replayed(self, mean_curve: Array, row: int) -> Array:
        noisy = np.clip(mean_curve + self.residuals[row], 0.0, 1.0)
        seen: Array = np.round(noisy * self.table.n_val) / self.table.n_val
        return seen


class TreePredictor:
    """The prediction of a forest in NumPy: one row takes 0.1 ms, not scikit-learn's 10.

    Args:
        forest: a fitted one.
    """

    def __init__(self, forest: ExtraTreesRegressor | RandomForestRegressor) -> None:
        trees = [one.tree_ for one in forest.estimators_]
        sizes = [tree.node_count for tree in trees]
        self._roots = np.concatenate([[0], np.cumsum(sizes)[:-1]])
        ends = [np.stack([tree.children_left, tree.children_right]) for tree in trees]
        offsets = np.repeat(self._roots, sizes)
        ends_of_all = np.concatenate(ends, axis=1)
        self._children = np.where(ends_of_all < 0, -1, ends_of_all + offsets)
        self._feature = np.concatenate([tree.feature for tree in trees])
        self._threshold = np.concatenate([tree.threshold for tree in trees])
        self._value = np.concatenate([tree.value[:, :, 0] for tree in trees])

    def __call__(self, rows: Array) -> Array:
        """Return the mean of the trees' leaves, a row for each row."""
        return np.array([self._one(row.astype(np.float32)) for row in rows])

    def _one(self, row: NDArray[np.float32]) -> Array:
        nodes = self._roots
        while True:
            inner = self._children[0, nodes] >= 0
            if not inner.any():
                mean: Array = self._value[nodes].mean(axis=0)
                return mean
            right = (row[self._feature[nodes]] > self._threshold[nodes]).astype(int)
            nodes = np.where(inner, self._children[right, nodes], nodes)


def gaussian_process(features: Array, curves: Array) -> Predict:
    """Fit the kernel to the final accuracy and predict every epoch with it.

    A kernel of its own for each epoch predicts the curves no better, and three or five principal
    components of the curves predict the final accuracy worse.
    """
    scales = RBF(np.ones(features.shape[1]), (0.2, 50.0))
    kernel = ConstantKernel(1.0) * scales + WhiteKernel(0.1, (1e-3, 1.0))
    final = GaussianProcessRegressor(
        kernel, normalize_y=True, n_restarts_optimizer=1, random_state=0
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # a length scale at its bound
        final.fit(features, curves[:, -1])
    whole = GaussianProcessRegressor(final.kernel_, optimizer=None, normalize_y=True)
    predict: Predict = whole.fit(features, curves).predict
    return predict


def extra_trees(features: Array, curves: Array) -> Predict:
    """Fit extremely randomised trees to whole curves."""
    forest = ExtraTreesRegressor(TREES, min_samples_leaf=2, random_state=0)
    return TreePredictor(forest.fit(features, curves))


def random_forest(features: Array, curves: Array) -> Predict:
    """Fit a random forest to whole curves."""
    forest = RandomForestRegressor(TREES, min_samples_leaf=2, random_state=0)
    return TreePredictor(forest.fit(features, curves))


MODELS: Mapping[str, Fit] = {
    "Gaussian process": gaussian_process,
    "extra trees": extra_trees,
    "random forest": random_forest,
}


def main() -> None:
    """Print the figures of every model on every target."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("targets", nargs="*", metavar="TARGET", help="default: all with a table")
    for target in parser.parse_args().targets or targets_with_table():
        print(report(fit_surrogate(read_table(target))))


def targets_with_table() -> list[str]:
    """Return the targets that `table.py` has written a table of."""
    return sorted(path.stem.removeprefix("table-") for path in RESULTS.glob("table-*.jsonl"))


@cache
def read_table(target: str) -> Table:
    """Read a table, without the trials that failed."""
    lines = (RESULTS / f"table-{target}.jsonl").read_text().splitlines()
    header, *trials = [json.loads(line) for line in lines]
    trained = [trial for trial in trials if trial["origin"] != FIXED_FEATURES]
    complete = [trial for trial in trained if trial["state"] == "complete"]
    return Table(
        target=target,
        space=SearchSpace.from_dict(header),
        n_train=header["n_train"],
        n_val=header["n_val"],
        hyperparameters=tuple(Hyperparameters.from_dict(trial["params"]) for trial in complete),
        curves=np.array([trial["curve"] for trial in complete]),
        epoch_seconds=float(
            np.median([trial["seconds"] / len(trial["curve"]) for trial in complete])
        ),
        left_out=len(trained) - len(complete),
    )


def fit_surrogate(
    table: Table, models: Mapping[str, Fit] = MODELS, forms: Sequence[bool] = (True, False)
) -> Surrogate:
    """Fit every candidate, and keep the one that errs least on trials it has not seen.

    Args:
        table: what to fit them to.
        models: the candidates.
        forms: whether each sees canonical hyperparameters; both are tried.

    Returns:
        One whose table has no accuracy below that of `FLOORS`.
    """
    table = replace(table, curves=np.maximum(table.curves, FLOORS.get(table.target, 0.0)))
    scores, best = {}, None
    for canonical in forms:
        features = np.array([table.features(one, canonical) for one in table.hyperparameters])
        for name, fit in models.items():
            predicted = out_of_fold(fit, features, table.curves)
            label = f"{name}, {'canonical' if canonical else 'as drawn'}"
            scores[label] = score(predicted[:, :, -1], table.final)
            if best is None or scores[label].rmse < best[0]:
                residuals = table.curves - predicted.mean(axis=0)
                best = scores[label].rmse, label, canonical, fit, features, residuals
    assert best is not None
    _, label, canonical, fit, features, residuals = best
    centre, scale = standards(features)
    predict = fit((features - centre) / scale, table.curves)
    return Surrogate(table, label, canonical, predict, centre, scale, residuals, scores)


def out_of_fold(fit: Fit, features: Array, curves: Array) -> Array:
    """Predict every trial by models fitted without it: (repetitions, trials, epochs)."""
    predicted = np.empty((REPEATS, *curves.shape))
    for repeat in range(REPEATS):
        folds = KFold(FOLDS, shuffle=True, random_state=repeat)
        for seen, unseen in folds.split(features):
            centre, scale = standards(features[seen])
            predict = fit((features[seen] - centre) / scale, curves[seen])
            predicted[repeat, unseen] = predict((features[unseen] - centre) / scale)
    return predicted


def standards(features: Array) -> tuple[Array, Array]:
    """Return the mean and the standard deviation of each feature; 1 for a constant."""
    spread = features.std(axis=0)
    return features.mean(axis=0), np.where(spread > 0, spread, 1.0)


def score(predicted: Array, real: Array) -> Scores:
    """Compare predicted final accuracies, a row a repetition, with the real ones."""
    upper = real >= np.median(real)
    errors = ((predicted - real) ** 2).mean(axis=1)
    return Scores(
        r2=float(1 - errors.mean() / real.var()),
        rmse=float(np.sqrt(errors).mean()),
        rank=float(np.mean([spearmanr(row, real)[0] for row in predicted])),
        rank_best_half=float(np.mean([spearmanr(row[upper], real[upper])[0] for row in predicted])),
    )


def report(surrogate: Surrogate) -> str:
    """Return the figures as Markdown."""
    table = surrogate.table
    spread = surrogate.residuals[:, -1].std()
    left_out = f", {table.left_out} left out that did not finish" if table.left_out else ""
    lines = [
        f"### {table.target}: surrogate of {len(table.curves)} fine-tunes{left_out}",
        "",
        f"Cross-validated over {FOLDS} folds, {REPEATS} times; final validation accuracy of "
        f"{table.n_val} images.",
        "",
        "| model, hyperparameters | R2 | RMSE, points | rank correlation | in the best half |",
        "|---|---|---|---|---|",
    ]
    for name, figures in surrogate.scores.items():
        mark = "**" if name == surrogate.model else ""
        lines.append(
            f"| {mark}{name}{mark} | {figures.r2:.2f} | {100 * figures.rmse:.1f} | "
            f"{figures.rank:.2f} | {figures.rank_best_half:.2f} |"
        )
    lines += [
        "",
        f"Used: {surrogate.model}; replayed noise {100 * spread:.1f} points; "
        f"{table.epoch_seconds:.2f} s an epoch, the median of the table (the seconds measured "
        "depend on what else the machine did).",
        "",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
