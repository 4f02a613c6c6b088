"""What does each knob do at low, middle and high learning rates?

    python bench/search/bands.py [TARGET]       # emoji-long, if no other

Prints, for three bands of the rate, Spearman's correlation of each knob with the final accuracy of
the random configurations of a table (`table.py`), and for the middle band a linear model of all
knobs: points of accuracy with the standard error, each knob beside the others.
"""

import argparse

import numpy as np
from numpy.typing import NDArray
from replay import table_lines
from scipy.stats import spearmanr
from surrogate import Array, Table, read_table

from tlsearch.records import HYPERPARAMETER_NAMES

BANDS = ((0.0, 0.0032), (0.0032, 0.032), (0.032, 1.0))
MIDDLE = BANDS[1]
FAR = 6  # layers under L2-SP, from which on alpha is looked at alone


def main() -> None:
    """Print the tables of a target."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("target", nargs="?", default="emoji-long")
    table = read_table(parser.parse_args().target)
    print("\n\n".join([correlations(table), linear_model(table)]))


def knobs_of(table: Table) -> dict[str, Array]:
    """Return the values of each knob, one a trial."""
    rows = [one.as_dict() for one in table.hyperparameters]
    return {name: np.array([float(row[name]) for row in rows]) for name in HYPERPARAMETER_NAMES}


def correlations(table: Table) -> str:
    """Return a table of rank correlations and their p-values, a column for each band."""
    knobs = knobs_of(table)
    everywhere = np.full(len(table.final), True)
    lines = {name: (values, everywhere) for name, values in knobs.items()}
    lines[f"alpha, {FAR} layers and more"] = knobs["alpha"], knobs["l2sp_layers"] >= FAR
    rows = []
    for name, (values, which) in lines.items():
        cells = []
        for band in BANDS:
            these = which & _inside(knobs["high_lr"], band)
            found = spearmanr(values[these], table.final[these])
            cells.append(f"{found.statistic:+.2f} (p {found.pvalue:.2g}, n {these.sum()})")
        rows.append([name, *cells])
    head = ["knob", *(f"{low:g} to {high:g}" for low, high in BANDS)]
    return "\n".join(table_lines(head, rows))


def linear_model(table: Table) -> str:
    """Return points of accuracy in the middle band: by least squares, beside all other knobs."""
    knobs = knobs_of(table)
    these = _inside(knobs["high_lr"], MIDDLE)
    depth, rate = knobs["reinit_layers"], np.log10(knobs["high_lr"])
    n_layers = table.space.n_body_layers
    columns = {
        "1": np.ones(len(depth)),
        **{f"reinit_layers {n} instead of 1": depth == n for n in (0, 2, 3, 4)},
        "high_lr, a decade": rate,
        "its square": rate**2,
        "low_lr_ratio, a decade": np.log10(knobs["low_lr_ratio"]),
        "low_layers, all": knobs["low_layers"] / n_layers,
        "alpha, a decade": np.log10(knobs["alpha"]) * (knobs["l2sp_layers"] > 0),
        "beta, a decade": np.log10(knobs["beta"]),
        "l2sp_layers, all": knobs["l2sp_layers"] / n_layers,
    }
    inputs = np.column_stack([column[these] for column in columns.values()]).astype(float)
    points = 100 * table.final[these]
    gains = np.linalg.lstsq(inputs, points, rcond=None)[0]
    left = points - inputs @ gains
    variance = left @ left / (len(points) - len(gains))
    errors = np.sqrt(np.diag(variance * np.linalg.inv(inputs.T @ inputs)))
    rows = [
        [name, f"{gain:+.1f} +- {error:.1f}"]
        for name, gain, error in zip(columns, gains, errors, strict=True)
        if name not in ("1", "high_lr, a decade", "its square")
    ]
    head = [f"{len(points)} trials, {MIDDLE[0]:g} to {MIDDLE[1]:g}", "points +- standard error"]
    return "\n".join(table_lines(head, rows))


def _inside(rates: Array, band: tuple[float, float]) -> NDArray[np.bool_]:
    return (rates >= band[0]) & (rates < band[1])


if __name__ == "__main__":
    main()
