"""What score a trial's hyperparameters would reach if they were trained again."""

from tlsearch.estimate.expected import Expected, expected_scores

__all__ = ["Expected", "expected_scores"]
