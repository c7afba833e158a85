"""Source that was written to exhaust, mislead or crash a scan: bounded, seen or named, no crash.

`bad(...)` stands for what a rule looks for. It is found, or the file is named as one that was not
looked at in full: nothing is left out in silence.
"""

from __future__ import annotations

import json
import os
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tavo.scan import files as files_module
from tavo.scan.engine import scan_file, scan_source
from tavo.scan.files import SourceFile, UnreadableError, decode, read, walk
from tavo.scan.languages import ecmascript, notebook, python
from tavo.scan.results import FileResult
from tavo.scan.rule import RuleSet
from tavo.scan.rules import load_rules

ATTACKS = Path(__file__).parents[1] / "attacks" / "source"
ROOT = Path(__file__).parents[2]
RULES = """
rules:
  - {id: bad, message: called, severity: LOW, languages: [python, javascript, typescript],
     pattern-either: [{pattern: bad(...)}, {pattern: run(...)}]}
  - {id: key, message: key, severity: LOW, languages: [json, yaml], pattern: '"bad": $X'}
  - {id: text, message: word, severity: LOW, languages: [generic], pattern: bad ( ... ),
     paths: {include: ["*.md"]}}
"""
SECONDS = 20.0
MEGABYTES = 400
N = 10_000


@pytest.fixture(scope="module")
def rules(tmp_path_factory: pytest.TempPathFactory) -> RuleSet:
    file = tmp_path_factory.mktemp("rules") / "rules.yaml"
    file.write_text(RULES)
    loaded = load_rules([file])
    assert loaded.problems == []
    return loaded


def scanned(path: Path, rules: RuleSet, name: str = "") -> FileResult:
    """Scan a file, in bounded time and memory."""
    began, before = time.process_time(), _megabytes()
    result = scan_file(SourceFile(path, PurePosixPath(name or path.name)), rules)
    assert time.process_time() - began < SECONDS
    assert _megabytes() - before < MEGABYTES
    assert not any("defect" in problem for problem in result.problems)
    return result


def _megabytes() -> int:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak >> (20 if sys.platform == "darwin" else 10)


def lines_of(result: FileResult, rule: str = "bad") -> list[int]:
    return [
        hit.finding.location.region.start_line
        for hit in result.hits
        if hit.finding.rule_id == rule and hit.finding.location.region is not None
    ]


NESTED = {
    "brackets.py": "(" * N + "x" + ")" * N,
    "half-open.py": "[" * N,
    "calls.py": "f(" * N + ")" * N,
    "attributes.py": "x" + ".a()" * N,
    "subscripts.py": "x" + "[0]" * N,
    "ifs.py": "".join(" " * n + "if x:\n" for n in range(1_000)) + " " * 1_000 + "pass",
    "elifs.py": "if x: pass\n" + "elif x: pass\n" * N,
    "f-strings.py": "f'{" * N + "x" + "}'" * N,
    "sums.py": "+".join("a" * N),
    "nots.py": "not " * N + "x",
    "lambdas.py": "lambda x: " * N + "x",
    "dictionaries.py": "{1:" * N + "1" + "}" * N,
    "strings.py": '"a" ' * N,
    "decorators.py": "@d\n" * N + "def f(): pass",
    "conditions.py": "x if y else " * N + "z",
    "comprehensions.py": "[" * 500 + "x " + "for x in y]" * 500,
    "open-string.py": '"""' + "run(x)\n" * N,
    "templates.ts": "`${" * N + "x" + "}`" * N,
    "arrows.js": "x=>" * N + "1",
    "objects.js": "({a:" * N + "1" + "})" * N,
    "types.ts": "let x: " + "A<" * N + "B" + ">" * N,
    "calls.js": "f(" * N + ")" * N,
    "blocks.js": "if(x){" * N + "}" * N,
    "elses.js": "if(x){}else " * N + "{}",
    "functions.js": "function f(){" * N + "}" * N,
    "chains.ts": "a?." * N + "b",
    "conditions.js": "a?b:" * N + "c",
    "elements.tsx": "<a>" * N + "</a>" * N,
    "attributes.tsx": "<a b={" * N + "1" + "}/>" * N,
    "regexes.js": "/(" * N,
}


@pytest.mark.parametrize("name", sorted(NESTED))
def test_ten_thousand_levels_hide_nothing(name: str, tmp_path: Path, rules: RuleSet) -> None:
    end = "\nbad(2)\n" if name.endswith(".py") else "\n;bad(2)\n"
    (tmp_path / name).write_text("bad(1)\n" + NESTED[name] + end)
    result = scanned(tmp_path / name, rules)
    last = 2 + NESTED[name].count("\n") + 1
    assert result.problems or {1, last} <= set(lines_of(result)), result
    inside = (tmp_path / name).read_text().replace("x", "bad(0)", 1)
    (tmp_path / name).write_text(inside)
    result = scanned(tmp_path / name, rules)
    assert result.problems or len(result.hits) >= inside.count("bad("), result


@pytest.mark.parametrize("name", ["a.py", "a.js"])
def test_what_is_below_the_bound_on_levels_is_named(
    name: str, rules: RuleSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = ("f(" * N + "bad(1)" + ")" * N).encode()
    result = scan_source(source, PurePosixPath(name), rules)
    assert result.hits == ()
    assert result.problems == ("nested deeper than 900 levels: what is below was left out",)
    monkeypatch.setattr(ecmascript if name == "a.js" else python, "_DEEPEST", 1 << 30)
    assert lines_of(scan_source(source, PurePosixPath(name), rules)) == [1], "the control"


@pytest.mark.parametrize("name", ["a.json", "a.yaml", "b.yaml", "a.ipynb"])
def test_data_that_is_nested_is_named(name: str, tmp_path: Path, rules: RuleSet) -> None:
    text = {"a.json": '{"bad": ' * N + "1" + "}" * N, "a.yaml": '- "bad": 1\n' + "- " * N + "1",
            "b.yaml": "{'bad': " * N + "1" + "}" * N, "a.ipynb": '{"cells": ' * N}  # fmt: skip
    (tmp_path / name).write_text(text[name])
    assert scanned(tmp_path / name, rules).problems


@pytest.mark.parametrize(
    ("name", "unit"), [("a.py", "bad(x); "), ("a.js", "bad(x);"), ("a.tsx", "bad(<a/>);")]
)
def test_ten_megabytes_on_one_line_are_named(
    name: str, unit: str, tmp_path: Path, rules: RuleSet
) -> None:
    (tmp_path / name).write_text(unit * ((10 << 20) // len(unit)))
    result = scanned(tmp_path / name, rules)
    assert "too large" in result.problems[0]
    assert not result.scanned
    (tmp_path / name).write_text(unit * ((1 << 17) // len(unit)))
    result = scanned(tmp_path / name, rules)
    assert len(result.hits) == 1_000
    assert result.problems == ("more than 1000 findings: the rest was left out",)


def test_text_of_ten_megabytes_on_one_line_is_named(tmp_path: Path, rules: RuleSet) -> None:
    (tmp_path / "a.md").write_text("word " * (2 << 20) + "bad ( 1 )")
    assert "minified or generated: rule text was stopped" in str(scanned(tmp_path / "a.md", rules))
    (tmp_path / "a.md").write_text("word " * (2 << 14) + "bad ( 1 )")
    assert lines_of(scanned(tmp_path / "a.md", rules), "text") == [1]


def test_a_name_of_many_letters(tmp_path: Path, rules: RuleSet) -> None:
    name = "a" * 300_000
    (tmp_path / "a.py").write_text(f"{name} = 1\nbad({name})\n{name}.{name}({name})\n")
    (hit,) = scanned(tmp_path / "a.py", rules).hits
    assert len(hit.finding.location.snippet) < 3_000
    assert len(hit.finding.message) < 5_000


# -- the corpus of files

FOUND = {
    "emacs-cookie.py": [3], "utf-16-be.py": [1], "utf-32.py": [1], "utf-7.py": [3],
    "lone-returns.py": [2], "half-parsed.ts": [1, 4], "half-parsed.tsx": [1],
    "source-number.ipynb": [1], "cells-twice.ipynb": [1], "escaped-keys.ipynb": [1],
    "source-twice.ipynb": [1], "language-is-a-lie.ipynb": [1],
}  # fmt: skip
NAMED = {
    "half-parsed.py": "parsed in part", "half-parsed.ts": "parsed in part",
    "half-parsed.tsx": "parsed in part", "mixed-encodings.py": "not UTF-8 at byte",
    "nul-bytes.py": "binary, not source", "strange-cookie.py": "not text in rot13",
    "cells-no-list.ipynb": "not a notebook of format 4",
    "source-nested-lists.ipynb": "the source of cell 1 is no text",
    "source-number.ipynb": "the source of cell 1 is no text",
    "string-over-cells.ipynb": "cell 1 is not valid Python by itself",
    "open-string.py": "parsed in part", "python2.py": None, "bidi.py": None,
}  # fmt: skip


@pytest.mark.parametrize(
    "name", sorted(path.name for path in ATTACKS.iterdir() if path.suffix != ".md")
)
def test_the_corpus_is_seen_or_named(name: str, rules: RuleSet) -> None:
    assert name in FOUND or name in NAMED, "say what has to come of it"
    result = scanned(ATTACKS / name, rules)
    assert lines_of(result) == FOUND.get(name, lines_of(result))
    wanted = NAMED.get(name)
    if wanted is not None:
        assert wanted in result.problems[0]
    elif name in FOUND:
        assert result.problems == ()


# -- notebooks that lie


def cells(*sources: Any, **metadata: Any) -> dict[str, Any]:
    return {
        "cells": [{"cell_type": "code", "outputs": [], "source": one} for one in sources],
        "metadata": metadata, "nbformat": 4,
    }  # fmt: skip


def what_jupyter_runs(text: str) -> list[str]:
    """Return the code of a notebook as a reader of JSON sees it: the control."""
    value = json.loads(text)
    return [
        "".join(cell["source"]) for cell in value["cells"] if cell.get("cell_type") == "code"
    ]  # fmt: skip


LIES = {
    "a key is escaped": json.dumps(cells("bad(1)")).replace('"source"', '"s\\u006furce"'),
    "the type is escaped": json.dumps(cells("bad(1)")).replace('"code"', '"\\u0063ode"'),
    "cells is escaped": json.dumps(cells("bad(1)")).replace('"cells"', '"\\u0063ells"'),
    "a source is there twice": json.dumps(cells("bad(1)")).replace(
        '"source"', '"source": "# ", "source"'
    ),
    "a type is there twice": json.dumps(cells("bad(1)")).replace(
        '"cell_type"', '"cell_type": "raw", "cell_type"'
    ),
    "the code is escaped": json.dumps(cells("bad(1)")).replace("bad", "\\u0062\\u0061d"),
    "a string goes over three cells": json.dumps(cells("'''", "bad(1)", "'''")),
    "a bracket goes over three cells": json.dumps(cells("x = (", "bad(1)", ")")),
    "a cell ends in a backslash": json.dumps(cells("# \\", "bad(1)", "x = 1 \\", "bad(2)")),
    "it says that it is another language": json.dumps(
        cells("bad(1)", kernelspec={"language": "R", "name": "python3"})
    ),
    "the other language comes first": json.dumps(
        cells("bad(1)", language_info={"name": "julia"}, kernelspec={"name": "python3"})
    ),
    "a mark comes first": "\ufeff" + json.dumps(cells("bad(1)")),
}


@pytest.mark.parametrize("name", sorted(LIES))
def test_what_jupyter_runs_is_seen_or_named(name: str, rules: RuleSet) -> None:
    text = LIES[name]
    assert any("bad(1)" in code for code in what_jupyter_runs(text.lstrip("\ufeff")))
    data = decode(text.encode()).data
    result = scan_source(data, PurePosixPath("a.ipynb"), rules)
    assert lines_of(result) or result.problems


def test_without_a_look_at_where_cells_end_a_string_hides_one(
    rules: RuleSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = LIES["a string goes over three cells"].encode()
    monkeypatch.setattr(notebook, "_runs_over", lambda parsed, pieces: 0)
    result = scan_source(text, PurePosixPath("a.ipynb"), rules)
    assert (result.hits, result.problems) == ((), ())


def test_without_reading_keys_as_json_does_an_escape_hides_a_cell(
    rules: RuleSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = LIES["a key is escaped"].encode()
    monkeypatch.setattr(notebook, "_key_of", lambda token: token[1:-1])
    result = scan_source(text, PurePosixPath("a.ipynb"), rules)
    assert (result.hits, result.problems) == ((), ())


def test_cells_that_are_whole_are_not_named(rules: RuleSet) -> None:
    whole = cells("import x\nbad(1)", "def f():\n    return 1", "", "# only a comment", "bad(2)")
    result = scan_source(json.dumps(whole).encode(), PurePosixPath("a.ipynb"), rules)
    assert (len(lines_of(result)), result.problems) == (2, ())


# -- what lies in the folder


def test_files_that_are_none_loops_and_names(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    (tree / "a").mkdir(parents=True)
    (tree / "a" / "up").symlink_to(tree)
    (tree / "self").symlink_to("self")
    (tree / "self.py").symlink_to("self.py")
    (tree / "null.py").symlink_to("/dev/zero")
    (tmp_path / "elsewhere").mkdir()
    (tree / "outside").symlink_to(tmp_path / "elsewhere")
    os.mkfifo(tree / "pipe.py")
    os.mkfifo(tree / "pipe.md")
    for name in (b"new\nline.py", b"\x1b[31mred\x1b]0;title\x07.py", b"\xff\xfe.py", b"-rf.py",
                 "\u202egnp.py".encode(), b"tavo: ignore[bad] x.py"):  # fmt: skip
        (Path(os.fsdecode(os.fsencode(tree) + b"/" + name))).write_text("bad(1)\n")
    (tmp_path / "rules.yaml").write_text(RULES)
    done = subprocess.run(
        [sys.executable, "-m", "tavo", "scan", "tree", "--no-default-rules", "--rules",
         "rules.yaml", "--no-cache"],
        cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT), "HOME": str(tmp_path)},
        capture_output=True, timeout=300, check=False,
    )  # fmt: skip
    said = done.stdout.decode("utf-8")
    assert (done.returncode, done.stderr) == (4, b""), (said, done.stderr)
    assert (
        "files tree/self, tree/self.py: cannot be read: Too many levels of symbolic links"
        in " ".join(said.split())
    )
    assert said.count("called") == 6
    assert not any(sign in said for sign in ("\x1b", "\x07", "\u202e"))
    assert "new\ufffdline.py" in said
    assert "6 findings (6 low): 6 files" in said
    left_out = "left out: by ignore files, exclude, name or kind: "
    words = " ".join(said.split())
    assert left_out + "tree/a/up, tree/null.py, tree/outside, tree/pipe.md, tree/pipe.py" in words


def test_what_cannot_be_read_is_named(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    tree.mkdir()
    (tree / "closed").mkdir()
    (tree / "closed" / "a.py").write_text("bad(1)\n")
    (tree / "b.py").write_text("bad(1)\n")
    (tree / "b.py").chmod(0)
    (tree / "c.py").write_text("bad(1)\n")
    (tree / "closed").chmod(0)
    (tmp_path / "rules.yaml").write_text(RULES)
    command = [sys.executable, "-m", "tavo", "scan", "tree", "--no-default-rules", "--rules",
               "rules.yaml", "--no-cache"]  # fmt: skip
    if os.geteuid() == 0:
        if shutil.which("setpriv") is None:
            pytest.skip("root reads everything, and there is no setpriv")
        without = "-dac_override,-dac_read_search"
        command = ["setpriv", f"--bounding-set={without}", f"--inh-caps={without}", *command]
    done = subprocess.run(
        command, cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT), "HOME": str(tmp_path)},
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    (tree / "closed").chmod(0o700)
    assert done.returncode == 4, done.stdout + done.stderr
    assert "files tree/closed, tree/b.py: cannot be read: Permission denied" in done.stdout
    assert "1 finding (1 low)" in done.stdout


# -- files that change during the scan


def to_nothing(path: Path) -> None:
    path.unlink()


def to_a_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def to_a_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def to_endless_bytes(path: Path) -> None:
    path.unlink()
    path.symlink_to("/dev/zero")


def to_a_loop(path: Path) -> None:
    path.unlink()
    path.symlink_to(path.name)


def to_a_huge_file(path: Path) -> None:
    with path.open("wb") as stream:
        stream.truncate(1 << 40)  # a hole of a terabyte


@pytest.mark.parametrize(
    "change", [to_nothing, to_a_pipe, to_a_folder, to_endless_bytes, to_a_loop, to_a_huge_file]
)
def test_a_file_that_is_another_one_when_it_is_read(
    change: Callable[[Path], None], tmp_path: Path, rules: RuleSet
) -> None:
    (tmp_path / "a.py").write_text("bad(1)\n")
    (file,) = walk([tmp_path], tmp_path)
    change(tmp_path / "a.py")
    began = time.monotonic()
    result = scan_file(file, rules)
    assert time.monotonic() - began < SECONDS
    assert not result.scanned
    assert result.problems


def test_a_file_that_grows_while_it_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.py"
    path.write_text("x = 1\n")

    def reading(descriptor: int, size: int) -> bytes:
        with path.open("ab") as stream:
            stream.write(b"x" * (1 << 20))
        return real(descriptor, size)

    real = os.read
    monkeypatch.setattr(files_module.os, "read", reading)
    with pytest.raises(UnreadableError, match="it is growing while it is read"):
        read(SourceFile(path, PurePosixPath("a.py")), largest=8 << 20)
    assert path.stat().st_size < 20 << 20


def test_a_file_that_shrinks_while_it_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.py"
    path.write_text("bad(1)\n" * 1_000)

    def stated(descriptor: int) -> os.stat_result:
        status = real(descriptor)
        path.write_text("bad(1)\n")
        return status

    real = os.fstat
    monkeypatch.setattr(files_module.os, "fstat", stated)
    assert read(SourceFile(path, PurePosixPath("a.py")), largest=1 << 20) == b"bad(1)\n"


# -- anything

PIECES = [
    "bad(1)\n", "(", ")", "[", "]", "{", "}", "'''", '"', "f'{", "}'", "\\", "\n", "\r", "\t", "\0",
    "\ufeff", "\u202e", "\u2028", "#", "//", "/*", "*/", "`", "${", "<a>", "</a>", "=>", "if x:\n",
    "  ", "def f():\n", "é", "\x1a", "\x0c", "-- ", "%%bash\n", "!", '{"cells": [', '"source": ',
    "\ud800", "class A:\n", "match x:\n case y:\n", "@", "async ", "# coding: utf-16\n",
]  # fmt: skip
NAMES = ["a.py", "a.js", "a.ts", "a.tsx", "a.ipynb", "a.json", "a.yaml", "a.md", "Dockerfile"]


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    parts=st.lists(
        st.tuples(st.sampled_from(PIECES), st.sampled_from([1, 1, 1, 3, 400])), max_size=12
    ),
    name=st.sampled_from(NAMES),
    encoding=st.sampled_from(["utf-8", "utf-16", "utf-32", "latin-1"]),
)
def test_any_source_is_scanned_in_bounded_time(
    parts: list[tuple[str, int]], name: str, encoding: str, rules: RuleSet,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:  # fmt: skip
    path = tmp_path_factory.getbasetemp() / name
    text = "".join(piece * count for piece, count in parts)
    path.write_bytes(text.encode(encoding, "surrogatepass" if "utf" in encoding else "replace"))
    result = scanned(path, rules)
    assert result.scanned or result.problems or b"\0" in path.read_bytes()
