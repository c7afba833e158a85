"""Taint analysis: from sources, past sanitizers, to sinks; in a function and through calls."""

from tavo.scan.taint.analysis import Flow, analyze

__all__ = ["Flow", "analyze"]
