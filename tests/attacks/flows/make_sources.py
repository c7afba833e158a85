"""Makes the hostile sources of this folder: `python -m tests.attacks.flows.make_sources FOLDER`.

Each attack is one entry: its name, whose ending says the language, and the code that stands between
flows that must still be found. They are made anew by the tests: most are thousands of lines, all
alike.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

N = 2_000
DEEP = 800

PYTHON = (
    "def before():\n    sink(src())\n",
    "\ndef perform(text):\n    sink(text)\ndef after():\n    perform(src())\n"
    "def for_others(text):\n    sink(text)\n",
    "from hostile import for_others\ndef own():\n    sink(src())\n"
    "def far():\n    for_others(src())\n",
)
ECMA = (
    "export function before() {\n    sink(src());\n}\n",
    "\nfunction perform(text) {\n    sink(text);\n}\nexport function after() {\n"
    "    perform(src());\n}\nexport function for_others(text) {\n    sink(text);\n}\n",
    'import { for_others } from "./hostile";\nexport function own() {\n    sink(src());\n}\n'
    "export function far() {\n    for_others(src());\n}\n",
)
"""What stands before an attack, behind it, and in a second file."""


def each(line: Callable[[int], str], count: int = N) -> str:
    return "".join(line(number) for number in range(count))


A = "class A:\n    def go_on(self, a):\n        return a\n"
B = "class A { goOn(a) { return a; } }\n"
CALLED = "x.go_on(src())\n"


def calling_all(name: str, count: int) -> str:
    calls = "".join(f"    {name}{number}(x)\n" for number in range(count))
    return each(lambda n: f"def {name}{n}(x):\n{calls}    return x\n", count) + f"{name}0(src())\n"


def bodies_in(word: str, count: int) -> str:
    return each(lambda n: " " * n + f"{word}\n", count) + " " * count + "pass\n"


ATTACKS: dict[str, str] = {
    # what annotations say
    "union.py": f"{A}x: {' | '.join(['A'] * DEEP)}\n{CALLED}",
    "union-parameter.py": f"{A}def f(x: {' | '.join(['A'] * DEEP)}):\n    {CALLED}",
    "union-returned.py": f"{A}def f() -> {' | '.join(['A'] * DEEP)}: ...\nx = f()\n{CALLED}",
    "union-too-deep.py": f"{A}x: {' | '.join(['A'] * N)}\n{CALLED}",
    "optional.py": f"{A}x: {'Optional[' * 200}A{']' * 200}\n{CALLED}",
    "union.ts": f"{B}let x: {' | '.join(['A'] * N)};\nx.goOn(src());\n",
    "generic.ts": f"{B}let x: {'Readonly<' * 400}A{'>' * 400};\nx.goOn(src());\n",
    # who returns what whom returns
    "returns.py": A + each(lambda n: f"def f{n}():\n    return f{n + 1}()\n")
    + f"def f{N}():\n    return A()\nx = f0()\n{CALLED}",
    "returns-backwards.py": A + "def f0():\n    return A()\n"
    + each(lambda n: f"def f{n + 1}():\n    return f{n}()\n") + f"x = f{N}()\n{CALLED}",
    "returns-in-a-circle.py": each(lambda n: f"def f{n}():\n    return f{(n + 1) % N}()\n")
    + f"x = f0()\n{CALLED}",
    "returns-one-of-two.py": A
    + each(lambda n: f"def f{n}():\n    if q: return f{n + 1}()\n    return f{n + 2}()\n")
    + f"def f{N}(): return A()\ndef f{N + 1}(): return A()\nx = f0()\n{CALLED}",
    "returns.js": B + each(lambda n: f"function f{n}() {{ return f{n + 1}(); }}\n")
    + f"function f{N}() {{ return new A(); }}\nf0().goOn(src());\n",
    "returns-in-a-circle.js": each(lambda n: f"function f{n}() {{ return f{(n + 1) % N}(); }}\n")
    + "f0().goOn(src());\n",
    # names of names
    "names.py": A + "v0 = A()\n" + each(lambda n: f"v{n + 1} = v{n}\n")
    + f"v{N}.go_on(src())\n",
    "names-in-a-function.py": A + "def g():\n    v0 = A()\n"
    + each(lambda n: f"    v{n + 1} = v{n}\n") + f"    v{N}.go_on(src())\n",
    "names-in-a-circle.py": each(lambda n: f"v{n} = v{(n + 1) % N}\n") + "v0.go_on(src())\n",
    "names.js": B + "const v0 = new A();\n" + each(lambda n: f"const v{n + 1} = v{n};\n")
    + f"v{N}.goOn(src());\n",
    "attributes-of-attributes.py": "class S:\n    def __init__(self):\n"
    + each(lambda n: f"        self.a{n} = self.a{n + 1}\n", 1_000)
    + "    def g(self):\n        self.a0.go_on(src())\n",
    "one-name-in-every-function.py": A
    + each(lambda n: f"def g{n}():\n    x = A()\n    x.go_on(1)\n"),
    "names-imported-by-names.py": "import a0\n"
    + each(lambda n: f"from a{n} import b as a{n + 1}\n") + f"a{N}.run(src())\n",
    "imports-itself.py": "import hostile\nfrom hostile import a as b\nfrom hostile import b as a\n"
    "from hostile import *\na(src())\n",
    "imports-itself.ts": 'import { a as b } from "./hostile";\nimport { b as a } from "./hostile";\n'
    'export * from "./hostile";\nb(src());\n',
    # classes of classes
    "inherits.py": "class C0:\n    def go(self, a):\n        return a\n"
    + each(lambda n: f"class C{n + 1}(C{n}): pass\n") + f"C{N}().go(src())\n",
    "inherits-by-super.py": "class C0:\n    def go(self, a):\n        return a\n"
    + each(lambda n: f"class C{n + 1}(C{n}):\n    def go(self, a):\n        super().go(a)\n", 1_000)
    + "C1000().go(src())\n",
    "inherits-in-a-circle.py": "class A(B):\n    def go(self, a):\n        self.no(a)\n"
    "class B(A): pass\nclass C(C): pass\nA().go(src())\nC().go(src())\n",
    "inherits.js": "class C0 { go(a) { return a; } }\n"
    + each(lambda n: f"class C{n + 1} extends C{n} {{}}\n") + f"new C{N}().go(src());\n",
    "inherits-in-a-circle.js": "class A extends B { go(a) { this.no(a); } }\n"
    "class B extends A {}\nnew A().go(src());\n",
    "one-base.py": "class B:\n    def go(self, a):\n        self.y = a\n"
    + each(lambda n: f"class A{n}(B):\n    def put(self, a):\n        self.x{n} = src()\n", 1_000),
    # calls of calls
    "calls.py": each(lambda n: f"def f{n}(x):\n    f{n + 1}(x)\n") + f"def f{N}(x): pass\nf0(src())\n",
    "all-call-all.py": calling_all("w", 40),
    "calls-in-a-row.py": f"y = x{'.a()' * 420}\n",
    "calls-of-what-comes-back.py": f"y = f{'()' * DEEP}\n",
    "thens.js": f"y = load(src()){'.then((r) => r)' * 300};\n",
    "maps-in-maps.py": "def m(t):\n    " + "list(map(lambda x: " * 14 + "x" + ", t))" * 14
    + "\nm(src())\n",
    "maps-in-maps.js": "function m(t) { " + "t.map((x) => " * 60 + "x" + ")" * 60
    + "; }\nm(src());\n",
    "properties.py": "class S:\n" + each(
        lambda n: f"    @property\n    def a{n}(self):\n        return self.a{n + 1}\n", 1_000
    ) + "    def go(self):\n        return self.a0\n",
    "parameters.py": f"def f({', '.join(f'p{n}' for n in range(N))}):\n    return p0\n"
    f"f({', '.join(['src()'] * 500)})\n",
    "decorators.py": each(lambda n: f"@d{n}(x)\n") + "def f(): pass\n",
    # tables of tables
    "tables-of-tables.py": each(
        lambda n: f"t{n} = {{{f'k: t{n + 1}[q], k: t{n + 1}.get(q), ' * 15}}}\n", 40
    ) + "t0[q](src())\n",
    "attributes-given-attributes.py": "class S:\n    def __init__(self):\n"
    + each(lambda n: f"        self.a{n} = self.a{n + 1} or self.b{n + 1}\n"
           f"        self.b{n} = self.a{n + 1} or self.b{n + 1}\n" * 10, 30)
    + "    def g(self):\n        self.a0(src())\n",
    "tables.js": each(
        lambda n: f"const t{n} = {{ {', '.join(f'a{m}: t{n + 1}[q]' for m in range(30))} }};\n", 40
    ) + "t0[q](src());\n",
    "one-of-two-of-two.py": each(lambda n: f"f{n} = f{n + 1} if q else f{n + 2}\n", 400)
    + "f0(src())\n",
    # expressions and patterns
    "sums.py": f"y = {' + '.join(['src()'] * DEEP)}\n",
    "sums-too-long.py": f"y = {' + '.join(['a'] * N)}\n",
    "attributes.py": f"y = x{'.a' * DEEP}\n",
    "dictionaries.py": f"y = {'{1: ' * 400}src(){'}' * 400}\n",
    "lambdas.py": f"y = {'lambda x: ' * DEEP}x\n",
    "targets.py": f"{'(a, ' * 400}b{')' * 400} = src()\n",
    "patterns.js": f"const {'{ a: ' * 400}b{' }' * 400} = src();\n",
    "objects.js": f"y = {'{ a: ' * 400}src(){' }' * 400};\n",
    "arrows.js": f"y = {'(x) => ' * DEEP}1;\n",
    "functions-at-once.js": f"{'(function () { ' * 150}{'}())' * 150};\n",
    "places-of-one-variable.py": "def p(t):\n" + each(lambda n: f"    t.a{n}.b = src()\n", 2_500)
    + "    return t\n",
    # blocks
    "loops.py": "def l(q):\n" + bodies_in(" while q:", 60).replace("pass", " a = b"),
    "matches.py": "def l(q):\n" + each(
        lambda n: " " * (2 * n + 1) + "match q:\n" + " " * (2 * n + 2) + "case 1:\n", 45
    ) + " " * 91 + "a = b\n",
    "switches.js": "switch (q) { case 1: " * 45 + "a = b;" + "}" * 45 + "\n",
    "ifs-too-deep.py": bodies_in("if q:", 300),
    "blocks-too-deep.js": "{" * 400 + "}" * 400 + "\n",
}  # fmt: skip

NAMED = frozenset({
    "union-too-deep.py", "sums-too-long.py", "places-of-one-variable.py", "ifs-too-deep.py",
    "blocks-too-deep.js", "maps-in-maps.js",
})  # fmt: skip
"""Those that may be named as not looked at in full; nothing else may be."""


def source_of(name: str) -> tuple[str, str]:
    """Return the hostile file, and the second one."""
    first, last, other = PYTHON if name.endswith(".py") else ECMA
    return first + ATTACKS[name] + last, other


if __name__ == "__main__":
    for attack in ATTACKS:
        Path(sys.argv[1], attack).write_text(source_of(attack)[0])
