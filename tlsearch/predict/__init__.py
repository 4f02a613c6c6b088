"""Classifies images by an exported model; knows neither Optuna, the database nor the training."""

from tlsearch.predict.load import load
from tlsearch.predict.predictor import Predictor
from tlsearch.predict.results import Guess, Prediction, Predictions

__all__ = ["Guess", "Prediction", "Predictions", "Predictor", "load"]
