"""The values of the paper's Tables 1 to 5, a column a data set."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Tables:
    """A column of the paper's tables.

    Attributes:
        title: the data set as the paper names it.
        random_init, fixed_features, emd, fisher: Table 1.
        default: Table 2: the rate, and the accuracy with its spread.
        layers: Table 3, 2 and 3 layers: rate and accuracy.
        low: Table 4, 1 to 3 layers: high rate, low rate, low layers and accuracy.
        l2sp: Table 5: alpha, beta, L2-SP layers and result: default, 1 new layer, overall.
        ratios: of Figure 3; ours.
    """

    title: str
    random_init: float
    fixed_features: float
    emd: float
    fisher: float
    default: tuple[float, str]
    layers: tuple[tuple[float, str], tuple[float, str]]
    low: tuple[tuple[float, float, int, str], ...]
    l2sp: tuple[tuple[float, float, int, float], ...]
    ratios: tuple[float, ...]


ALL = 22  # body layers of Inception v4
PAPER: Mapping[str, Tables] = {
    "caltech": Tables(
        "Caltech 256-30",
        *(67.2, 83.4, 0.568, 1.35),
        (0.0025, "83.69 +- 0.08"),
        ((0.015, "84.31 +- 0.11"), (0.015, "83.57 +- 0.10")),
        (
            (0.002, 0.001, 12, "83.95 +- 0.20"),
            (0.002, 0.001, 12, "84.15 +- 0.55"),
            (0.002, 0.001, 12, "83.46 +- 0.14"),
        ),
        ((0.01, 0.01, ALL, 84.52),),
        (0.25, 0.5),
    ),
    "cars": Tables(
        "Stanford Cars",
        *(92.7, 64.2, 0.536, 1.18),
        (0.025, "94.59 +- 0.11"),
        ((0.015, "94.59 +- 0.21"), (0.015, "94.46 +- 0.35")),
        (
            (0.025, 0.01, 8, "94.86 +- 0.05"),
            (0.025, 0.01, 8, "94.78 +- 0.13"),
            (0.025, 0.01, 10, "94.83 +- 0.08"),
        ),
        ((0.0001, 0.01, ALL, 94.42), (0.01, 0.001, 10, 94.57), (0.01, 0.001, 10, 94.65)),
        (0.2, 0.4),
    ),
    "aircraft": Tables(
        "FGVC Aircraft",
        *(88.8, 59.9, 0.557, 0.83),
        (0.025, "93.78 +- 0.14"),
        ((0.02, "93.56 +- 0.94"), (0.02, "92.96 +- 1.59")),
        (
            (0.025, 0.015, 10, "94.32 +- 0.14"),
            (0.025, 0.015, 10, "94.17 +- 0.31"),
            (0.025, 0.01, 8, "94.50 +- 0.19"),
        ),
        ((0.0001, 0.01, ALL, 93.29), (0.0001, 0.001, 10, 93.86), (0.0001, 0.001, 10, 94.22)),
        (0.4, 0.6),
    ),
    "dtd": Tables(
        "DTD",
        *(66.8, 74.6, 0.540, 3.47),
        (0.002, "77.30 +- 0.73"),
        ((0.001, "78.92 +- 0.19"), (0.0015, "78.90 +- 0.24")),
        (
            (0.0025, 0.0015, 10, "77.75 +- 0.46"),
            (0.0015, 0.001, 14, "78.59 +- 0.13"),
            (0.0015, 0.001, 12, "78.84 +- 0.46"),
        ),
        ((0.0001, 0.01, ALL, 78.32), (0.001, 0.001, 10, 78.32), (0.001, 0.001, 14, 78.90)),
        (0.6, 0.666667),
    ),
}
