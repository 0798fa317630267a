"""The older name of `reslab.charts.plot`, which scripts may still import."""

from reslab.charts.plot import Plot, Series, draw

__all__ = ["Plot", "Series", "draw"]
