"""The mean of several models, as an exported model computes it."""

from tlsearch.predict.mean import Probabilities, mean_of

__all__ = ["Probabilities", "mean_of"]
