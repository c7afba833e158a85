"""The words behind a status."""

from __future__ import annotations

from http import HTTPStatus

__all__ = ["REASONS"]

REASONS = {int(status): status.phrase.encode("ascii") for status in HTTPStatus}
