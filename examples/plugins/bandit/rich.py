"""Stands where bandit looks for rich, which it needs for its progress bar only."""

from __future__ import annotations

__all__ = ["progress"]

progress = None
