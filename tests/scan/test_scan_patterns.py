"""What a pattern matches: one line per construct, with what must match and what must not.

`code` is scanned whole; `wanted` are the texts of all matches, in the order of the source.
"""

import pytest

from tavo.scan.languages.python import parse
from tavo.scan.match import compile_pattern
from tavo.scan.pattern import PatternError, parse_pattern


def found(pattern: str, code: str, *, symbolic: bool = False) -> list[str]:
    file = parse(code.encode())
    matches = compile_pattern(parse_pattern(pattern), symbolic=symbolic).find(file)
    ranges = dict.fromkeys((match.start, match.end) for match in matches)
    return [file.source.text(start, end) for start, end in ranges]


def bound(pattern: str, code: str, name: str) -> list[str]:
    file = parse(code.encode())
    return [m.env[name].text for m in compile_pattern(parse_pattern(pattern)).find(file)]


CALLS = [
    ("run(1)", "run(1)\nrun(2)\nrun(1, 2)", ["run(1)"]),
    ("run(...)", "run()\nrun(1, k=2)\nx.run()", ["run()", "run(1, k=2)"]),
    ("run($X)", "run(a)\nrun(a, b)\nrun(k=a)\nrun(*a)", ["run(a)", "run(*a)"]),
    ("run($X, ...)", "run(a)\nrun(a, b)\nrun(k=a)", ["run(a)", "run(a, b)"]),
    ("run(..., $X, ...)", "run()\nrun(k=1)\nrun(a, b)", ["run(a, b)"]),
    ("run(a=1, b=2)", "run(b=2, a=1)\nrun(a=1)\nrun(a=1, b=2, c=3)", ["run(b=2, a=1)"]),
    ("run(..., a=1, ...)", "run(x, b=2, a=1)\nrun(a=1)\nrun(a=2)",
     ["run(x, b=2, a=1)", "run(a=1)"]),
    ("run($K=1)", "run(a=1)\nrun(1)", ["run(a=1)"]),
    ("run(*$X)", "run(*a)\nrun(a)", ["run(*a)"]),
    ("run(..., **$X)", "run(b, **a)\nrun(a)", ["run(b, **a)"]),
    ("$F(...)", "a.b(1)(2)", ["a.b(1)", "a.b(1)(2)"]),
    ("run(...)(...)", "run(1)(2)\nrun(1)", ["run(1)(2)"]),
    ("run($X, $X)", "run(a, a)\nrun(a, b)\nrun('s', \"s\")\nrun(1, 0x1)",
     ["run(a, a)", "run('s', \"s\")", "run(1, 0x1)"]),
    ("run(x for x in y)", "run(x for x in y)\nrun([x for x in y])",
     ["run(x for x in y)", "run([x for x in y])"]),
    ("$X.go(...)", "a.go().go()\ngo()\nself.go(1)", ["a.go()", "a.go().go()", "self.go(1)"]),
    ("$X. ... .go()", "a.go()\na.b().c[1].go()\ngo()", ["a.go()", "a.b().c[1].go()"]),
    ("a. ... .go()", "a.b.go()\nb.a.go()", ["a.b.go()"]),
    ("tool(...)", "@tool\ndef f(): pass\n@tool(1)\ndef g(): pass", ["tool", "tool(1)"]),
    ("tool($X)", "@tool\ndef f(): pass", []),
    ("print(...)", "print 'old', x\nprint(new)", ["print 'old', x", "print(new)"]),
]  # fmt: skip

STRINGS = [
    ('run("a")', "run('a')\nrun(\"\"\"a\"\"\")\nrun(r'a')\nrun('a' '')\nrun(f'a')\nrun('b')",
     ["run('a')", 'run("""a""")', "run(r'a')", "run('a' '')", "run(f'a')"]),
    ('run(b"a")', "run(b'a')\nrun('a')", ["run(b'a')"]),
    ('run("...")', "run('a' + 'b')\nrun('a' + x)\nrun(f'a{x}')\nrun('a' 'b')",
     ["run('a' + 'b')", "run('a' 'b')"]),
    ('run("ab")', "run('a' 'b')\nrun('a' + 'b')", ["run('a' 'b')", "run('a' + 'b')"]),
    ('run("$X")', "run('a')\nrun(b)", ["run('a')"]),
    ('run("=~/^a/")', "run('ab')\nrun('ba')\nk = 'ac'\nrun(k)", ["run('ab')", "run(k)"]),
    ('run("=~/AB/i")', "run('xabx')\nrun('b')", ["run('xabx')"]),
    ('run(f"...")', "run(f'a')\nrun(f'a{x}')\nrun('a')", ["run(f'a')", "run(f'a{x}')"]),
    ('run(f"...{$X}...")', "run(f'a{x}')\nrun(f'a')\nrun(f'{x!r}')", ["run(f'a{x}')"]),
    ('run(f"{$X}")', "run(f'{a}')\nrun(f'{a}{b}')", ["run(f'{a}')"]),
    ('"..." "..."', "x = 'a' 'b'\ny = 'c'", ["'a' 'b'"]),
    ('"..." % $X', "'%s' % a\na % b", ["'%s' % a"]),
    ('"...".format(...)', "'{}'.format(a)\nx.format(a)", ["'{}'.format(a)"]),
    ("run(1)", "run(1)\nrun(0x1)\nrun(1.0)\nrun(True)", ["run(1)", "run(0x1)"]),
    ("run(-1)", "run(-1)\nrun(- 1)\nrun(1)", ["run(-1)", "run(- 1)"]),
    ("run(None)", "run(None)\nrun(x)", ["run(None)"]),
]  # fmt: skip

EXPRESSIONS = [
    ("$X == $X", "a == a\na == b\na.b == a.b", ["a == a", "a.b == a.b"]),
    ("$A + $B", "a + b\na - b\na + b + c", ["a + b", "a + b", "a + b + c"]),
    ("$A and $B", "a and b\na or b", ["a and b"]),
    ("not $X", "not a\na not in b\na is not b", ["not a"]),
    ("$X not in $Y", "a not in b\na in b", ["a not in b"]),
    ("$X is None", "a is None\na == None\na is not None", ["a is None"]),
    ("$X[$Y]", "a[1]\na[1:2]\na[1, 2]", ["a[1]", "a[1, 2]"]),
    ("$X[:$Y]", "a[:2]\na[1:2]\na[2:]", ["a[:2]"]),
    ('$X["k"]', "a['k']\na['l']", ["a['k']"]),
    ("[..., 1, ...]", "[0, 1]\n[0]\n[]", ["[0, 1]"]),
    ("[...]", "[1]\n(1,)\n[x for x in y]", ["[1]", "[x for x in y]"]),
    ("{..., 'k': $V, ...}", "{'a': 1, 'k': 2}\n{'a': 1}", ["{'a': 1, 'k': 2}"]),
    ("{'a': 1, 'b': 2}", "{'b': 2, 'a': 1}\n{'a': 1}", ["{'b': 2, 'a': 1}"]),
    ("($A, $B)", "x = 1, 2\nrun((1, 2))\n(1, 2, 3)", ["1, 2", "(1, 2)"]),
    ("$A if $B else $C", "a if b else c", ["a if b else c"]),
    ("lambda: $X", "lambda: 1\nlambda a: 1", ["lambda: 1"]),
    ("lambda $A: $X", "lambda a: 1\nlambda a, b: 1", ["lambda a: 1"]),
    ("[$X for $Y in $Z]", "[a for a in b]\n[a for a in b if c]", ["[a for a in b]"]),
    ("await $X", "async def f():\n  await a\n  b", ["await a"]),
    ("yield", "def f():\n  yield\n  yield 1", ["yield"]),
    ("a.b", "a.b\nx.a.b\na.c", ["a.b"]),
    ("name", "y = name.name\nf(name=1)\ndef name(name): pass", ["name"]),
    ("run(<... secret ...>)", "run(a + f(secret))\nrun(lambda: secret)\nrun(a)",
     ["run(a + f(secret))", "run(lambda: secret)"]),
    ("run(<... $X.y ...>)", "run(g(a.y))\nrun(1)", ["run(g(a.y))"]),
    ("run($X: int)", "run(1)\nrun('a')\ndef f(n: int, s: str):\n  run(n)\n  run(s)",
     ["run(1)", "run(n)"]),
    ("run((a))", "run(a)\nrun((a))", ["run(a)", "run((a))"]),
]  # fmt: skip

NAMES = [
    ("a.b.c()", "import a\na.b.c()", ["a.b.c()"]),
    ("a.b.c()", "import a.b as e\ne.c()", ["e.c()"]),
    ("a.b.c()", "from a import b\nb.c()", ["b.c()"]),
    ("a.b.c()", "from a.b import c as d\nd()\nc()", ["d()"]),
    ("a.b.c()", "def f():\n  from a.b import c\n  c()\ndef g():\n  c()", ["c()"]),
    ("a.c()", "from a import c\ndef f(c):\n  c()", []),
    ("a.c()", "from b import c\nfrom a import c\nc()", ["c()"]),
    ("a.c()", "from a import c\nc()\nfrom b import c\nc()", ["c()"]),
    ("$M.c()", "from a import c as d\nd()", ["d()"]),
    ("a.$X()", "from a import c as d\nd()\nimport a as f\nf.g()", ["d()", "f.g()"]),
    ("import a", "import a.b\nfrom a import c\nimport a as d\nimport ab",
     ["import a.b", "from a import c", "import a as d"]),
    ("import a.b", "from a import b\nimport a\nimport a.b.c", ["from a import b", "import a.b.c"]),
    ("from a import b", "from a import c, b\nfrom a import b as d\nimport a.b\nfrom c import b",
     ["from a import c, b", "from a import b as d", "import a.b"]),
    ("from a import b as c", "from a import b\nfrom a import b as c", ["from a import b as c"]),
    ("from a import *", "from a import *\nfrom a import b", ["from a import *"]),
    ("from $M import b", "from x.y import b\nfrom x import c", ["from x.y import b"]),
    ("import $X", "import a.b\nfrom c import d", ["import a.b", "from c import d"]),
]  # fmt: skip

STATEMENTS = [
    ("$X = run()",
     "a = run()\nb: int = run()\nself.c = run()\nd = e = run()\nif (f := run()): pass\n"
     "with run() as g: pass\nh = 1",
     ["a = run()", "b: int = run()", "self.c = run()", "d = e = run()", "(f := run())"]),
    ("$X: $T = 1", "a: int = 1\nb = 1", ["a: int = 1"]),
    ("$X: int", "a: int\nb: int = 1", ["a: int"]),
    ("$X += 1", "a += 1\na -= 1\na = 1", ["a += 1"]),
    ("return $X", "def f():\n  return\n  return 1\ng = lambda a: a", ["return 1", "a"]),
    ("return ...", "def f():\n  return\n  return 1", ["return", "return 1"]),
    ("raise $X", "raise A\nraise A from b\nraise", ["raise A", "raise A"]),
    ("assert $X", "assert a\nassert a, 'text'", ["assert a"]),
    ("del $X", "del a\ndel a, b", ["a"]),
    ("if $X:\n  ...", "if a:\n  b\nelif c:\n  d\nelse:\n  e",
     ["if a:\n  b\nelif c:\n  d\nelse:\n  e", "elif c:\n  d\nelse:\n  e"]),
    ("if $X:\n  ...\nelse:\n  ...", "if a:\n  b", []),
    ("if $X:\n  return $Y", "if a:\n  return 1\nif b:\n  c\n  return 2", ["if a:\n  return 1"]),
    ("for $X in $Y:\n  ...", "for a in b:\n  c\nelse:\n  d\n[a for a in b]", ["for a in b:\n  c"]),
    ("while True:\n  ...", "while True:\n  a\nwhile 1: a", ["while True:\n  a"]),
    ("with open($F) as $X:\n  ...", "with open(a) as b, open(c) as d:\n  e\nwith open(f): pass",
     ["open(a) as b, open(c) as d:\n  e", "open(c) as d:\n  e"]),
    ("try:\n  ...\nexcept $E:\n  pass", "try:\n  a\nexcept A:\n  b\nexcept B:\n  pass",
     ["try:\n  a\nexcept A:\n  b\nexcept B:\n  pass"]),
    ("try:\n  ...\nexcept $E:\n  pass", "try:\n  a\nexcept A as e:\n  pass", []),
    ("try:\n  ...\nexcept:\n  pass", "try:\n  a\nexcept A:\n  pass", []),
    ("try:\n  ...\nexcept $E:\n  ...", "try:\n  a\nexcept A:\n  pass\nfinally:\n  b", []),
    ("def $F(...):\n  ...", "@a\nasync def f(a):\n  return 1", ["@a\nasync def f(a):\n  return 1"]),
    ("async def $F(...):\n  ...", "def f(): pass\nasync def g(): pass", ["async def g(): pass"]),
    ("def f($A):\n  ...", "def f(a: int = 1): pass\ndef f(a, b): pass\ndef f(*a): pass",
     ["def f(a: int = 1): pass"]),
    ("def f(..., $A=[], ...):\n  ...", "def f(b, *, a=[]): pass\ndef f(a): pass",
     ["def f(b, *, a=[]): pass"]),
    ("def f(..., $A: str, ...):\n  ...", "def f(a: str): pass\ndef f(a): pass",
     ["def f(a: str): pass"]),
    ("def f(...) -> $T:\n  ...", "def f() -> int: pass\ndef f(): pass", ["def f() -> int: pass"]),
    ("def f(*$A):\n  ...", "def f(*a): pass\ndef f(a): pass", ["def f(*a): pass"]),
    ("@a\ndef $F(...):\n  ...", "@b\n@a\ndef f(): pass\ndef g(): pass", ["@b\n@a\ndef f(): pass"]),
    ("@a(...)\ndef $F(...):\n  ...", "@a\ndef f(): pass\n@a(1)\ndef g(): pass",
     ["@a\ndef f(): pass", "@a(1)\ndef g(): pass"]),
    ("@$D\ndef $F(...):\n  ...", "@a.b\ndef f(): pass\n@a(1)\ndef g(): pass",
     ["@a.b\ndef f(): pass"]),
    ("class $A:\n  ...", "class A(B): pass", ["class A(B): pass"]),
    ("class $A(B):\n  ...", "class A(B, C): pass\nclass D(C, B): pass", ["class A(B, C): pass"]),
    ("class $A(..., B, ...):\n  ...", "class A(C, B): pass\nclass D: pass",
     ["class A(C, B): pass"]),
    ("class $A:\n  x = 1",
     "class A:\n  def f(self): pass\n  x = 1\nclass B:\n  def f(self):\n    x = 1",
     ["class A:\n  def f(self): pass\n  x = 1"]),
]  # fmt: skip

ROWS = [
    ("$X = 1\nrun($X)", "a = 1\nb = run(a)\nrun(c)", ["a = 1\nb = run(a)"]),
    ("$X = 1\nrun($X)", "a = 1\nb\nrun(a)", []),
    ("$X = 1\n...\nrun($X)", "a = 1\nif b:\n  run(a)", ["a = 1\nif b:\n  run(a)"]),
    ("$X = 1\n...\nrun($X)", "if b:\n  a = 1\nrun(a)", []),
    ("$X = 1\n...\nrun($X)", "def f():\n  a = 1\n  return run(a)", ["a = 1\n  return run(a)"]),
    ("$X = 1\n...\nrun($X)", "a = 1\nif run(a): pass\nassert run(a)\nfor b in run(a): pass", []),
    ("$X = 1\n...\nrun($X)", "a = 1\nb = lambda: run(a)", []),
    ("$X = 1\n...\nrun($X)", "def f():\n  a = 1\ndef g():\n  run(a)", []),
    ("run()\n...\n<... stop() ...>", "run()\nif stop(): pass", ["run()\nif stop(): pass"]),
    ("run()\n...\n<... stop ...>", "run()\n@stop\ndef f(a=stop) -> stop: pass", []),
    ("run()\n...\n<... stop ...>", "run()\nclass A(stop): pass", []),
    ("run()\n...\n<... stop ...>", "run()\nfor stop in a:\n  with stop as b: pass", []),
    ("run()\n...\n<... stop ...>", "run()\nwith a, stop: pass", ["run()\nwith a, stop: pass"]),
    ("run()\n...\n<... stop ...>", "run()\ndef f():\n  stop()", ["run()\ndef f():\n  stop()"]),
    ("def f(...):\n  ...\n  run($X)\n  ...", "def f():\n  if a:\n    return run(1)\n  b",
     ["def f():\n  if a:\n    return run(1)\n  b"]),
    ("def f(...):\n  $X = 1", "def f():\n  a = 1\ndef f():\n  b\n  a = 1", ["def f():\n  a = 1"]),
    ("$X = 1\n...\nrun($X)", "a = 1\ndef f():\n  a = 2\n  run(a)", []),
]  # fmt: skip


TYPES = [
    ("run($X: int)", "n = 0\nif a:\n  n = b()\nrun(n)\nrun(2 ** n)\nrun(n + 1)",
     ["run(n)", "run(2 ** n)"]),
    ("run($X: int)", "n = b()\nif a:\n  n = 0\nrun(n)\nrun(int(n))\nrun(len(n))", []),
    ("run($X: int)", "def f(n=1):\n  run(n)\ndef g():\n  run(m)\nm = a()", []),
    ("run($X: float)", "a = 1.5\nrun(a)\nb = 1.5 if c else 2.5\nrun(b)", ["run(a)"]),
    ("run($X: Made)", "a = Made()\nrun(Made())", ["run(Made())"]),
]  # fmt: skip
RETURNS = [
    ("return ...", "a = lambda: b\nrun(lambda: c)", ["b", "c"]),
    ("return ...", "def f(a=lambda: b): pass\n@run(lambda: c)\ndef g(): pass", []),
    ("return ...", "@run(lambda: c)\nclass A: pass", ["c"]),
    ("return ...", "a = lambda: b if c else d", []),
]
IMPORTED = [
    ("m.$F(...)", "import m as n\ndef f():\n  n.a()\n  n = 1\n  n.b()", ["n.a()", "n.b()"]),
    ("m.$F(...)", "import m as n\ndef f(n):\n  n.a()\ndef g():\n  for n in b:\n    n.c()", []),
    ("m.$F(...)", "import m as n\ndef f():\n  n: int = 1\n  n.a()", []),
    ("[...]", "run(a for a in b)\nrun((a for a in b))\nc = (a for a in b)", ["(a for a in b)"]),
]  # fmt: skip


@pytest.mark.parametrize(
    ("pattern", "code", "wanted"),
    [*TYPES, *RETURNS, *IMPORTED, *CALLS, *STRINGS, *EXPRESSIONS, *NAMES, *STATEMENTS, *ROWS],
)
def test_a_pattern_matches_this_and_nothing_else(
    pattern: str, code: str, wanted: list[str]
) -> None:
    assert found(pattern, code) == wanted


@pytest.mark.parametrize(
    ("pattern", "code", "name", "wanted"),
    [
        ("run($...ARGS, k=1)", "run(a, b, k=1)", "$...ARGS", ["a, b"]),
        ("run($...ARGS)", "run()", "$...ARGS", [""]),
        ("run('$X')", "run('text')", "$X", ["text"]),
        ("$X = run()", "a, b = run()", "$X", ["a, b"]),
        ("def $F($A): ...", "def go(a=1): pass", "$A", ["a"]),
        ("from a import $X", "from a import b as c", "$X", ["b"]),
        ("$A.$B", "x.y", "$B", ["y"]),
    ],
)
def test_a_metavariable_is_bound_to(pattern: str, code: str, name: str, wanted: list[str]) -> None:
    assert bound(pattern, code, name) == wanted


def test_the_range_of_a_match_includes_its_parentheses_but_not_those_of_a_name() -> None:
    assert found("run(...)", "x = (run(1))") == ["(run(1))"]
    assert bound("run($X)", "run((name))", "$X") == ["name"]


def test_a_name_stands_for_what_it_was_bound_to_only_when_asked_for() -> None:
    code = "def f():\n  q = make(1)\n  run(q)\n  if a:\n    q = other()\n  run(q)"
    assert found("run(make(...))", code) == []
    assert found("run(make(...))", code, symbolic=True) == ["run(q)"]


@pytest.mark.parametrize("between", ["q.go()", "q.a.go()", "q.a = 1", "q[0] = 1"])
def test_a_name_is_unknown_after_its_object_was_changed(between: str) -> None:
    code = f"def f():\n  q = make(1)\n  run(q)\n  {between}\n  run(q)"
    assert found("run(make(...))", code, symbolic=True) == ["run(q)"]


@pytest.mark.parametrize("between", ["a = q.go()", "go(q)", "q()", "q.go().b()", "import q"])
def test_a_name_is_known_after_its_object_was_used(between: str) -> None:
    code = f"def f():\n  q = make(1)\n  run(q)\n  {between}\n  run(q)"
    assert found("run(make(...))", code, symbolic=True) == ["run(q)", "run(q)"]


@pytest.mark.parametrize(
    ("pattern", "reason"),
    [
        ("...", "matches everything"),
        ("", "empty"),
        ("def f(", "not Python"),
        ("run($lower)", "not a metavariable"),
        ("import a, b", "one name"),
        ('run("=~/(?R)/")', "not a regular expression"),
        ("run(...>)", "without '<...'"),
        ("x = (" * 300 + ")" * 300, "not Python"),
    ],
)
def test_a_pattern_that_cannot_be_used_says_why(pattern: str, reason: str) -> None:
    with pytest.raises(PatternError, match=reason):
        compile_pattern(parse_pattern(pattern))
