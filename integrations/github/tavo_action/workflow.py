"""What the runner of GitHub reads from us: commands in the log, outputs, the summary of the job.

Rules this module keeps:
- what comes from the scanned project reaches the log only while commands are switched off, by a
  token that nobody can guess, or escaped inside a command of ours;
- an output is written between delimiters that nobody can guess;
- the summary stays below the size that GitHub takes, and says so when it was cut.

Source: GitHub, "Workflow commands for GitHub Actions".
"""

from __future__ import annotations

import re
import secrets
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

__all__ = ["Workflow", "escaped"]

_SUMMARY_BYTES = 1 << 20
_CUT = "\n\n*The summary is cut here: GitHub takes 1 MB. The reports hold all of it.*\n"
_ANNOTATION = re.compile(r"::(?:error|warning|notice)(?: [^:\r\n][^\r\n]*?)?::[^\r\n]*\Z")
_SAFE = {ord("%"): "%25", ord("\r"): "%0D", ord("\n"): "%0A"}
_SAFE_PROPERTY = {**_SAFE, ord(":"): "%3A", ord(","): "%2C"}


def escaped(text: str, *, of_property: bool = False) -> str:
    """Return text as it stands in the message, or in a property, of a command."""
    text = "".join(
        c if c.isprintable() or c in "\r\n\t" else "\N{REPLACEMENT CHARACTER}" for c in text
    )
    return text.translate(_SAFE_PROPERTY if of_property else _SAFE)


class Workflow:
    """The runner's side of one step."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._outputs = environment.get("GITHUB_OUTPUT", "")
        self._summary = environment.get("GITHUB_STEP_SUMMARY", "")

    def say(self, kind: str, message: str) -> None:
        """Show a message of ours as an annotation of this kind: error, warning or notice."""
        print(f"::{kind} title=tavo::{escaped(message)}", flush=True)

    @contextmanager
    def foreign(self) -> Iterator[None]:
        """Have the runner read what is printed meanwhile as text, whatever it says."""
        token = secrets.token_hex(32)
        print(f"::stop-commands::{token}", flush=True)
        try:
            yield
        finally:
            sys.stdout.flush()
            # A line that was not ended must not hide the token.
            print(f"\n::{token}::", flush=True)

    def annotate(self, lines: str) -> None:
        """Print the annotations that tavo wrote; what is none of them is printed as text."""
        others = []
        for line in lines.splitlines():
            if _ANNOTATION.match(line):
                print(line)
            elif line.strip():
                others.append(line)
        sys.stdout.flush()
        if others:
            with self.foreign():
                print("\n".join(others))

    def output(self, name: str, value: str) -> None:
        """Set an output of the step. Without the runner's file it is printed."""
        delimiter = f"tavo-{secrets.token_hex(32)}"
        text = f"{name}<<{delimiter}\n{value}\n{delimiter}\n"
        if self._outputs:
            with Path(self._outputs).open(
                "a", encoding="utf-8", errors="surrogateescape", newline="\n"
            ) as out:
                out.write(text)
        else:
            with self.foreign():
                print(f"{name}: {value}")

    def summary(self, markdown: str) -> None:
        """Add to the summary of the job, as far as it fits."""
        if not self._summary:
            return
        path = Path(self._summary)
        room = _SUMMARY_BYTES - (path.stat().st_size if path.exists() else 0)
        data = markdown.encode("utf-8", "replace")
        if len(data) > room:
            end = data.rfind(b"\n", 0, max(0, room - len(_CUT)))
            data = data[: max(0, end)] + _CUT.encode()
            self.say("warning", "the summary of the job is cut: GitHub takes 1 MB")
        if len(data) <= room:
            with path.open("ab") as out:
                out.write(data)
