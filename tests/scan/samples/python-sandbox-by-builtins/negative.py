import ast


def calculate():
    # ok: python-sandbox-by-builtins
    return ast.literal_eval(read_formula())


def run(self):
    names = {"__builtins__": __builtins__, "result": None}
    # ok: python-sandbox-by-builtins
    exec(self.code, names)


def fixed():
    # ok: python-sandbox-by-builtins
    return eval("1 + 1", {"__builtins__": {}})


def plain(self):
    # ok: python-sandbox-by-builtins
    exec(self.code, {"name": self.name})


def whole(self):
    # ok: python-sandbox-by-builtins
    exec(self.code, {"__builtins__": __builtins__})
