"""Plots, and the offline HTML page that tells what a run did."""

from reslab.report.page import write_report

__all__ = ["write_report"]
