"""The older name of `reslab.analyze.gate_statistics`, which scripts may still import."""

from reslab.analyze.gate_statistics import gate_statistics as gate_openness

__all__ = ["gate_openness"]
