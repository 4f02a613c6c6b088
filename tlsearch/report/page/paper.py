"""What the paper's tables say of its four data sets; accuracies in per cent.

Source: Plested, Shen, Gedeon, "Rethinking binary hyperparameters for deep transfer learning for
image classification", Tables 2 to 7; Inception v4 at 299 pixels, four runs each.
"""

from tlsearch.report.measures_table import PAPER

HEAD = ("", "this study", *PAPER)

DEFAULT_RATE = ("0.0025", "0.002", "0.025", "0.025")
DEFAULT_RESULT = ("83.69 ± 0.08", "77.30 ± 0.73", "94.59 ± 0.11", "93.78 ± 0.14")

# Table 3, by layers that start from random weights: the best rate and its accuracy.
LAYERS = {
    1: (DEFAULT_RATE, DEFAULT_RESULT),
    2: (
        ("0.015 (*)", "0.001", "0.015", "0.02"),
        ("84.31 ± 0.11", "78.92 ± 0.19", "94.59 ± 0.21", "93.56 ± 0.94"),
    ),
    3: (
        ("0.015 (*)", "0.0015", "0.015", "0.02"),
        ("83.57 ± 0.10", "78.90 ± 0.24", "94.46 ± 0.35", "92.96 ± 1.59"),
    ),
}

# Table 4: high rate, low rate, number of low layers, and the accuracy.
LOW_RATES = {
    1: (
        ("0.002, 0.001, 12", "0.0025, 0.0015, 10", "0.025, 0.01, 8", "0.025, 0.015, 10"),
        ("83.95 ± 0.20", "77.75 ± 0.46", "94.86 ± 0.05", "94.32 ± 0.14"),
    ),
    2: (
        ("0.002, 0.001, 12", "0.0015, 0.001, 14", "0.025, 0.01, 8", "0.025, 0.015, 10"),
        ("84.15 ± 0.55", "78.59 ± 0.13", "94.78 ± 0.13", "94.17 ± 0.31"),
    ),
    3: (
        ("0.002, 0.001, 12", "0.0015, 0.001, 12", "0.025, 0.01, 10", "0.025, 0.01, 8"),
        ("83.46 ± 0.14", "78.84 ± 0.46", "94.83 ± 0.08", "94.50 ± 0.19"),
    ),
}

# Table 5: alpha, beta, layers with L2-SP; each with its result.
L2_RESULT = ("83.69", "77.30", "94.59", "93.78")
WHOLE_L2SP = ("0.01, 0.01, all", "0.0001, 0.01, all", "0.0001, 0.01, all", "0.0001, 0.01, all")
WHOLE_L2SP_RESULT = ("84.52", "78.32", "94.42", "93.29")
PART_L2SP = ("0.01, 0.01, all", "0.001, 0.001, 10", "0.01, 0.001, 10", "0.0001, 0.001, 10")
PART_L2SP_RESULT = ("84.52", "78.32", "94.57", "93.86")
BEST_L2SP = ("0.01, 0.01, all", "0.001, 0.001, 14", "0.01, 0.001, 10", "0.0001, 0.001, 10")
BEST_L2SP_RESULT = ("84.52", "78.90", "94.65", "94.22")

# Table 6.
OPTIMAL = (
    "1 new layer, rate 0.0025, L2-SP 0.01 on all",
    "2 new layers, rate 0.002, L2-SP 0.001 on 14",
    "1 new layer, rate 0.025, low rate 0.01 on 8, no L2-SP",
    "3 new layers, rate 0.025, classifier 0.01, low rate 0.01 on 8, no L2-SP",
)
OPTIMAL_RESULT = ("84.52", "78.90", "94.86", "94.50")
ENSEMBLE_RESULT = ("85.94", "79.79", "95.35", "95.11")

# Table 7: the columns that its rule chooses between.
FIT_COLUMN = {
    "Optimal learning rate": "Low",
    "L2-SP": "Yes",
    "More layers reinitialised": "Yes",
    "Low layers at a low rate": "No",
}
UNFIT_COLUMN = {
    "Optimal learning rate": "High",
    "L2-SP": "No",
    "More layers reinitialised": "No",
    "Low layers at a low rate": "Yes",
}
