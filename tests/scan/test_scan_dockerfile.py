"""Dockerfiles: what patterns of instructions and commands find, and files that are none."""

from __future__ import annotations

import json
import time
from pathlib import Path, PurePosixPath
from typing import Any

import pytest

from tavo.scan.engine import FileResult, scan_source
from tavo.scan.languages import language_at
from tavo.scan.languages.dockerfile import parse
from tavo.scan.rule import RuleSet
from tavo.scan.rules import load_rules
from tests.scan.test_scan_text import texts

BUILD = """\
FROM --platform=linux/arm64 python:3.12-slim@sha256:00ff AS build
FROM scratch
ENV PIP_NO_CACHE=1 MODE="test"
ARG TOKEN
ARG MODEL=small
RUN pip install -r requirements.txt && \\
    # the rest
    rm -rf /root/.cache | tee log
RUN cd /srv; pip install torch
RUN (pip install jax)
RUN --mount=type=secret,id=k KEY=1 pip install "vllm" > /dev/null
RUN echo $(pip install mcp)
RUN if test -f x; then pip install y; fi
run ["pip", "install", "z"]
ONBUILD RUN pip install w
EXPOSE 80 9000/tcp
EXPOSE 8080
VOLUME ["/data", "/models"]
COPY --chown=a:b one two /srv/
USER root:root
LABEL owner="me" tier=1
CMD python serve.py
"""


def rules_of(tmp_path: Path, rule: dict[str, Any] | str) -> RuleSet:
    body = {"pattern": rule} if isinstance(rule, str) else rule
    usual = {"id": "r", "message": "m", "severity": "LOW", "languages": ["dockerfile"]}
    (tmp_path / "rules.yaml").write_text(json.dumps({"rules": [{**usual, **body}]}))
    return load_rules([tmp_path / "rules.yaml"])


def scanned(tmp_path: Path, rule: dict[str, Any] | str, source: str) -> FileResult:
    loaded = rules_of(tmp_path, rule)
    assert loaded.problems == []
    return scan_source(source.encode(), PurePosixPath("Dockerfile"), loaded)


@pytest.mark.parametrize(
    ("pattern", "lines"),
    [
        ("FROM $X", [1, 2]),
        ("FROM $X:$TAG", [1]),
        ("FROM python:3.12-slim", [1]),
        ("FROM $X@$DIGEST", [1]),
        ("FROM --platform=$P $X", [1]),
        ("FROM $X AS build", [1]),
        ("ENV MODE=$V", [3]),
        ("ENV ... PIP_NO_CACHE=$V ...", [3]),
        ("ARG $A", [4]),
        ("ARG $A=...", [5]),
        ("RUN pip install ...", [6, 11, 12, 15]),  # nothing of a block
        ("RUN ... install ...", [6, 11, 12, 15]),
        ("RUN pip install", []),
        ("RUN ... && rm ...", []),  # it is a pipe
        ("RUN ... && ...", [6]),
        ("RUN ... | tee ...", [6]),
        ("pip install ...", [6, 9, 10, 11, 12, 13, 15]),
        ("pip install vllm", [11]),
        ("RUN [...]", [14]),
        ('RUN [..., "install", $X]', [14]),
        ("RUN --mount=$M pip ...", [11]),
        ("ONBUILD $X", [15]),
        ("EXPOSE $P", [17]),
        ("EXPOSE ... 80 ...", [16]),
        ("VOLUME $X", [18]),
        ("COPY --chown=$O ... $TO", [19]),
        ("USER root", [20]),
        ("LABEL tier=$T", [21]),
        ("CMD $...REST", [22]),
        ("CMD [...]", []),
        ("USER $U\n...\nCMD ...", [20]),
    ],
)
def test_what_a_pattern_finds(pattern: str, lines: list[int], tmp_path: Path) -> None:
    found = [
        hit.finding.location.region.start_line
        for hit in scanned(tmp_path, pattern, BUILD).hits
        if hit.finding.location.region is not None
    ]
    assert found == lines


@pytest.mark.parametrize(
    ("rule", "source", "wanted"),
    [
        ("RUN $A ...", "FROM a\nRUN b \\\n  # é\n\n  c\nRUN d\n",
         ["RUN b \\\n  # é\n\n  c", "RUN d"]),
        ({"patterns": [{"pattern": "RUN $CMD ..."}, {"focus-metavariable": "$CMD"},
                       {"metavariable-pattern": {"metavariable": "$CMD", "pattern": "sudo"}}]},
         "RUN sudo x\nRUN y sudo\n", ["sudo"]),
        ({"patterns": [{"pattern": "EXPOSE $P"}, {"metavariable-comparison":
          {"metavariable": "$P", "comparison": "int($P) < 1024"}}]}, "EXPOSE 80\nEXPOSE 8080\n",
         ["EXPOSE 80"]),
        ({"patterns": [{"pattern": "CMD $...X"}, {"pattern-not-inside": "USER $U\n...\n"}]},
         "FROM a\nCMD b\n", ["CMD b"]),
        ({"patterns": [{"pattern": "CMD $...X"}, {"pattern-not-inside": "USER $U\n...\n"}]},
         "FROM a\nUSER u\nCMD b\n", []),
        ("pip install $X", "RUN <<END\npip install a\nEND\nRUN pip install b\n",
         ["pip install a", "pip install b"]),
        ("RUN a `b`", "# escape=`\nRUN a `\n  c\n", []),
        ("RUN a c", "# escape=`\nRUN a `\n  c\n", ["RUN a `\n  c"]),
    ],
)  # fmt: skip
def test_what_is_found_where(
    rule: dict[str, Any] | str, source: str, wanted: list[str], tmp_path: Path
) -> None:
    assert texts(scanned(tmp_path, rule, source), source) == wanted


@pytest.mark.parametrize(
    ("name", "is_one"),
    [
        ("Dockerfile", True),
        ("a/Dockerfile.gpu", True),
        ("serve.dockerfile", True),
        ("Containerfile", True),
        ("docker-compose.yaml", False),
        ("Dockerfile.md.txt.exe", True),
        ("mydockerfile2", False),
        ("dockerfile.py", False),
    ],
)
def test_which_files_are_dockerfiles(name: str, is_one: bool) -> None:
    assert (language_at(PurePosixPath(name)) == "dockerfile") is is_one


@pytest.mark.parametrize(
    ("pattern", "reason"),
    [
        ("RUN pip install $NAME==1", "'$NAME==1': a metavariable in a word is not supported"),
        ("RUN a; b", "commands after each other in one instruction are not supported"),
        ("ENV A=1 B=2", "several settings of one ENV are not supported"),
        ("...", "a pattern that is only '...' matches everything"),
        ("FROM", "FROM has nothing behind it"),
    ],
)
def test_a_pattern_that_cannot_be_used_is_refused_by_name(
    pattern: str, reason: str, tmp_path: Path
) -> None:
    (problem,) = rules_of(tmp_path, pattern).problems
    assert reason in problem.reason


def test_an_ignore_comment_holds(tmp_path: Path) -> None:
    source = "# nosemgrep\nUSER root\n# tavo: ignore[r] -- known\nUSER root\nUSER root\n"
    hits = scanned(tmp_path, "USER root", source).hits
    assert [hit.ignore is not None for hit in hits] == [True, True, False]


@pytest.mark.parametrize(
    "source",
    [
        b"", b"\xff\xfe\x00", b"hello world\n", b"RUN", b"RUN \\", b"FROM\n", b"ENV A\n", b"CMD [",
        b"RUN <<E\n", b'RUN "', b"RUN $(", b"RUN `", b"RUN ${", b"RUN case x in a) b;; esac",
        b"RUN f() { a; }; f", b"HEALTHCHECK NONE", b"\\\n\\\n", b"# escape=`\nRUN a `\n",
    ],
)  # fmt: skip
def test_what_is_no_dockerfile_is_read_as_far_as_it_is_one(source: bytes) -> None:
    parsed = parse(source)
    for node in parsed.root.walk():
        assert 0 <= node.start <= node.end <= len(source) + 1
        assert all(child.parent is node for child in node.children)


def test_what_could_not_be_read_is_said(tmp_path: Path) -> None:
    result = scanned(tmp_path, "USER root", "hello\nUSER root\n")
    assert result.problems == ("parsed in part: line 1 is no instruction",)
    assert len(result.hits) == 1


@pytest.mark.parametrize(
    "body",
    [
        "RUN " + "$(" * 200_000, "RUN " + "(" * 200_000, "RUN a" + " && a" * 100_000,
        "RUN " + '"' * 200_001, "FROM " + "a:@" * 100_000, "ENV " + "a" * 400_000,
        "RUN x\n" * 50_000, "FROM " + " " * 400_000 + "as", "CMD [" + '"a",' * 100_000,
        "RUN <<A <<B\n" + "x\n" * 100_000, "RUN " + "if " * 100_000, "RUN " + "`" * 200_001,
        "RUN a \\\n" * 50_000, "RUN " + "{ " * 100_000, "RUN " + "case a in b) " * 20_000,
    ],
    ids=lambda body: body[:12],
)  # fmt: skip
def test_hostile_text_takes_bounded_time(body: str, tmp_path: Path) -> None:
    begun = time.process_time()
    scanned(tmp_path, "RUN ... a ...", body)
    assert time.process_time() - begun < 5
