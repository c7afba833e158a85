"""Code that an interpreter runs and a parser could miss; the interpreter is the control."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path, PurePosixPath

import pytest

from tavo.scan.engine import scan_file
from tavo.scan.files import SourceFile
from tavo.scan.rule import RuleSet
from tavo.scan.rules import load_rules

RULES = """
rules:
  - {id: py, message: m, severity: ERROR, languages: [python], pattern: eval(...)}
  - {id: js, message: m, severity: ERROR, languages: [javascript], pattern: eval(...)}
"""

# `"H"` stands for an expression that leaves the file HIT.
PYTHON = {
    "plain": b'eval("H")\n',
    "full-width": 'ｅｖａｌ("H")\n'.encode(),
    "mathematical": '𝐞𝐯𝐚𝐥("H")\n'.encode(),
    "script l": 'eva\u2113("H")\n'.encode(),
    "form feed": b'\x0ceval("H")\n',
    "lone carriage return": b'# x\reval("H")\r',
    "control z": b'#\x1a\neval("H")\n',
    "continuation before": b'\\\neval("H")\n',
    "continuation inside": b'eval\\\n("H")\n',
    "utf-7": b'# coding: utf-7\n#+AAo-eval("H")\n',
    "utf-7 in the second line": b'#!/x\n# vim: set fileencoding=utf-7 :\n#+AAo-eval("H")\n',
    "utf-7 after a form feed": b'\x0c\n# coding: utf-7\n#+AAo-eval("H")\n',
    "raw unicode escape": b'# coding: raw_unicode_escape\n#\\u000aeval("H")\n',
    "byte order mark": b'\xef\xbb\xbfeval("H")\n',
    "f-string": b"f'{eval(\"H\")}'\n",
    "format of an f-string": b"f'{1:{eval(\"H\") or 1}}'\n",
    "braces of an f-string": b"f'{{{eval(\"H\")}}}'\n",
    "default": b'def f(x=eval("H")): pass\n',
    "another name": b'e = eval\ne("H")\n',
    "another name inside a function": b'def f():\n    e = eval\n    e("H")\nf()\n',
    "another name by the way": b'(e := eval)("H")\n',
    "another name in a condition": b'if e := eval:\n    e("H")\n',
    "annotation": b'x: eval("H") = 1\n',
}
JAVASCRIPT = {
    "plain": 'eval("H")',
    "escape": '\\u0065val("H")',
    "escape with braces": '\\u{65}val("H")',
    "escape with zeros": 'ev\\u{000061}l("H")',
    "first line ends at U+2028": '#!/x\u2028eval("H")',
    "first line ends at U+2029": '#!/x\u2029eval("H")',
    "first line": '#!/x\neval("H")',
    "comment ends at U+2028": '// x\u2028eval("H")',
    "comment ends at a carriage return": '// x\reval("H")',
    "comment of HTML": '<!-- x\neval("H")',
    "comment of HTML ends at U+2028": '<!-- x\u2028eval("H")',
    "end of a comment of HTML": '--> x\neval("H")',
    "division": 'let a=1,g=1; a /eval("H")/ g',
    "division after a function": 'x=function(){} /eval("H")/1',
    "expression after a function": 'function f(){}\n/"/;eval("H")//"',
    "expression after an arrow function": 'x=>{}\n/"/;eval("H")//"',
    "expression after two arrow functions": 'x=>{}\n/"/;y=>{}//}\n/"/;eval("H")//"',
    "expression far after an arrow function": 'f=async x=>{} // }\n/* b\n*/ /"/;eval("H")//"',
    "division after an arrow function": '(x=>{})\n/eval("H")/1',
    "class of an expression": '/[/"]/;eval("H")//"]/',
    "call of what stands behind a zero": 'globalThis.require=require;(0,eval)("H")',
    "template": '`${`${eval("H")}`}`',
    "byte order mark": '\ufeffeval("H")',
    "no-break space": 'eval\ufeff("H")',
    "line separator in a string": 'x="\u2028";eval("H")',
    "static block": 'class A{static{eval("H")}}',
    "computed name": 'class A{[eval("H")](){}}',
    "default": '((a=eval("H"))=>1)()',
}


@pytest.fixture(scope="module")
def rules(tmp_path_factory: pytest.TempPathFactory) -> RuleSet:
    file = tmp_path_factory.mktemp("rules") / "rules.yaml"
    file.write_text(RULES)
    return load_rules([file])


def check(code: bytes, name: str, interpreter: str, rules: RuleSet, tmp_path: Path) -> None:
    file = tmp_path / name
    file.write_bytes(code)
    subprocess.run([interpreter, file.name], cwd=tmp_path, timeout=120, check=False)
    assert (tmp_path / "HIT").exists(), "the control: the interpreter runs it"
    result = scan_file(SourceFile(file, PurePosixPath(name)), rules)
    assert result.hits


@pytest.mark.parametrize("name", PYTHON)
def test_what_python_runs_is_seen(name: str, rules: RuleSet, tmp_path: Path) -> None:
    code = PYTHON[name]
    call = b"\"open('HIT','w').close()\""
    if b"f'" in code:
        call = b'"open(chr(72)+chr(73)+chr(84),chr(119)).close()"'
    check(code.replace(b'"H"', call), "x.py", sys.executable, rules, tmp_path)


@pytest.mark.parametrize("name", JAVASCRIPT)
def test_what_node_runs_is_seen(name: str, rules: RuleSet, tmp_path: Path) -> None:
    node = shutil.which("node")
    if node is None:
        pytest.skip("no node here")
    call = "'require(\\'fs\\').writeFileSync(\\'HIT\\',\\'\\')'"
    code = JAVASCRIPT[name].replace('"H"', call)
    check(code.encode(), "x.js", node, rules, tmp_path)


def test_a_name_that_is_given_twice_is_not_another_name_of_eval(
    rules: RuleSet, tmp_path: Path
) -> None:
    file = tmp_path / "x.py"
    file.write_text("e = eval\ne = print\ne('H')\nf = eval\ndef g(f):\n    f('H')\n")
    assert not scan_file(SourceFile(file, PurePosixPath("x.py")), rules).hits
