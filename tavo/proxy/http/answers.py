"""Answers that are there as a whole, whose heads have the form of one that llhttp has read.

The heads of an upstream have the same names in the same order again and again, and only values
change, such as a date. From a head that llhttp has accepted an expression is made that takes the
same names with any plain values; an answer that it takes needs no other reading.

Rules this module keeps:
- a form is made only of a head in which llhttp and this module read the same names and values;
- what says something about the connection, the framing or a coding is in no form, but
  `Connection: keep-alive`: a head with any such line is for llhttp;
- the length stands there once, and is that of all the bytes behind the head; the type stands there
  once and is JSON; the status is 200; a value is printable ASCII without blanks around it;
- what is kept is bounded.

Units: sizes in bytes.
"""

from __future__ import annotations

import re

from tavo.proxy.http.lines import FROM_UPSTREAM, SHOWN
from tavo.proxy.messages import Headers

__all__ = ["Answers"]

_LONGEST = 4 << 10
_MOST_FORMS = 8
_FUTILE = 0x3E0
"""After 32 failures in a row only 32 of 1024 answers are tried."""
_STATUS = b"HTTP/1.1 200 OK"
_JSON = re.compile(rb"(?i)application/json(?:; ?charset=utf-8)?", re.ASCII)
_PLAIN = re.compile(rb"[!-~](?:[ -~]*[!-~])?")
_VALUE = rb"[!-~][ -~]*(?<! )"
_DROPPED = frozenset({b"alt-svc", b"strict-transport-security"})
_OTHERS = (FROM_UPSTREAM - _DROPPED) | {b"content-encoding"}
"""Names that llhttp and the flow have to look at."""
_TAKEN = frozenset({b"content-length", b"connection"})
"""Those of them that have a place here."""
_NOT_SENT = _DROPPED | _TAKEN
_ABOUT_US = b"x-tavo-"
_AS_IT_IS = b"%b"


class _Form:
    """Names of a head in their order: what takes it, and what becomes of it.

    `length` is the number of the group with the length, `values` those of what goes on: a value, or
    lines in a row that go on as they are.
    """

    __slots__ = ("is_as_it_is", "length", "lines", "match", "pattern", "values")

    def __init__(self, pattern: bytes, lines: bytes, length: int, values: list[int]) -> None:
        self.pattern = pattern
        self.match = re.compile(pattern).match
        self.lines = lines
        self.is_as_it_is = lines == _AS_IT_IS
        self.length = length
        self.values = values


class Answers:
    """The forms of one upstream's answers. `most` is how many headers an answer may have."""

    __slots__ = ("_failed", "_forms", "_most")

    def __init__(self, most: int) -> None:
        self._most = most
        self._forms: list[_Form] = []
        self._failed = 0  # so many answers in a row had to be parsed after all

    def read(self, data: bytes) -> tuple[bytes, bytes] | None:
        """Return the lines that go on and the body, None for what llhttp is to read."""
        for form in self._forms:
            found = form.match(data)
            if found is not None:
                break
        else:
            return None
        body = data[found.end() :]
        values = form.values
        if form.is_as_it_is:
            length, lines = found.group(form.length, values[0])
            if length == SHOWN[len(body)]:
                self._failed = 0
                return lines, body
            return None
        if found[form.length] != SHOWN[len(body)]:
            return None
        self._failed = 0
        return form.lines % found.group(*values) if values else form.lines, body

    def learn(self, data: bytes, headers: Headers) -> None:
        """Keep the form of a head that llhttp has read, as `headers`, at the start of `data`."""
        self._failed += 1
        end = data.find(b"\r\n\r\n", 0, _LONGEST)
        if end < 0 or len(headers) > self._most or self._failed & _FUTILE:
            return
        status, *lines = data[:end].split(b"\r\n")
        form = _form_of(lines, headers) if status == _STATUS else None
        if form is not None and all(one.pattern != form.pattern for one in self._forms):
            self._forms = [form, *self._forms[: _MOST_FORMS - 1]]


def _form_of(lines: list[bytes], headers: Headers) -> _Form | None:
    """Return the form of a head, None where it is not a usual one."""
    if len(lines) != len(headers):
        return None
    pattern, goes_on = [re.escape(_STATUS)], []
    values: list[int] = []
    lengths: list[int] = []
    groups = types = 0
    run = False  # a group of lines that go on as they are has begun
    for line, (name, value) in zip(lines, headers, strict=True):
        given, _, rest = line.partition(b": ")
        if given.lower() != name or rest != value or _PLAIN.fullmatch(value) is None:
            return None
        if (name in _OTHERS and name not in _TAKEN) or name.startswith(_ABOUT_US):
            return None
        start = re.escape(b"\r\n" + given + b": ")
        as_it_is = given == name and name not in _NOT_SENT
        if run and not as_it_is:
            pattern.append(b")")
        elif as_it_is and not run:
            groups += 1
            values.append(groups)
            pattern.append(b"(")
            goes_on.append(_AS_IT_IS)
        run = as_it_is
        if name == b"content-type":
            types += 1
            if _JSON.fullmatch(value) is None:
                return None
            pattern.append(start + re.escape(value))
            if not run:
                goes_on.append(b"\r\n%b: %b" % (name, value))
        elif name == b"content-length":
            groups += 1
            lengths.append(groups)
            pattern.append(start + rb"([0-9]{1,9})")
        elif name == b"connection":
            if value.lower() != b"keep-alive":
                return None
            pattern.append(start + re.escape(value))
        elif run or name in _DROPPED:
            pattern.append(start + _VALUE)
        else:
            groups += 1
            values.append(groups)
            pattern.append(start + b"(" + _VALUE + b")")
            goes_on.append(b"\r\n%b: %%b" % name.replace(b"%", b"%%"))
    if run:
        pattern.append(b")")
    if len(lengths) != 1 or types != 1:
        return None
    return _Form(b"".join(pattern) + rb"\r\n\r\n", b"".join(goes_on), lengths[0], values)
