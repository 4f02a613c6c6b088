"""A study's report: one page of HTML, and the figures and tables beside it.

Each section of the page has a file here, named after what it shows: `figure_3_low_rates.py`.
"""

from tlsearch.report.page.facts import Extras
from tlsearch.report.page.report import write_report

__all__ = ["Extras", "write_report"]
