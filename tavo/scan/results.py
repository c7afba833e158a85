"""What a scan says about a file: findings with the comments that cover them, and problems.

Rules this module keeps:
- it imports no engine: a scan of files that are known from before does without one.
"""

from __future__ import annotations

from pathlib import PurePosixPath

import msgspec

from tavo.covering import Piece
from tavo.plugins import Finding
from tavo.scan.suppress import Ignore

__all__ = ["Beside", "FileResult", "Hit"]


class Hit(msgspec.Struct, frozen=True):
    """A finding, and the ignore comment that covers it if there is one."""

    finding: Finding
    ignore: Ignore | None

    @property
    def key(self) -> tuple[str, str, int, int]:
        """Return what tells the finding from others: rule, file, line and column."""
        location = self.finding.location
        region = location.region
        line, column = (region.start_line, region.start_column) if region is not None else (0, 0)
        return self.finding.rule_id, str(location.path), line, column


class Beside(msgspec.Struct, frozen=True):
    """Another file that a result depends on: its path in the scan, and SHA-256 of its bytes."""

    path: PurePosixPath
    content: bytes


class FileResult(msgspec.Struct, frozen=True):
    """What came of one file. `scanned` is false where no rule looked at it.

    `lasting` is false where the next run could say something else about the same content, because
    time ran out. `content` is SHA-256 of the bytes that were read, empty where they were not;
    `others` are the files that the result depends on besides. `outline` is what the file tells the
    other files of the scan, as text, None where nobody asked. `secrets` are what rules with the tag
    `credential` point at in the file: findings hold their lines whole, reports must not.
    """

    path: PurePosixPath
    hits: tuple[Hit, ...] = ()
    problems: tuple[str, ...] = ()
    scanned: bool = True
    lasting: bool = True
    content: bytes = b""
    others: tuple[Beside, ...] = ()
    outline: bytes | None = None
    secrets: tuple[Piece, ...] = ()
