"""Tables and pictures of what a study knows."""

from tlsearch.report.measures_table import meaning, measures_rows, notes

__all__ = ["meaning", "measures_rows", "notes"]
