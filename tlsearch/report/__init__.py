"""Tables and pictures of what a study knows."""

from tlsearch.report.measures_table import meaning, measures_rows, notes
from tlsearch.report.trial_pictures import confusion_matrix, learning_curve

__all__ = ["confusion_matrix", "learning_curve", "meaning", "measures_rows", "notes"]
