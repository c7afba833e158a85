"""Taint analysis within one function: from sources, past sanitizers, to sinks."""

from tavo.scan.taint.analysis import Flow, analyze

__all__ = ["Flow", "analyze"]
