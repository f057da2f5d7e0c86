"""A run as one page to look at: curves, measures, and what the model does with examples."""

from vlx.report.page import write_report

__all__ = ["write_report"]
