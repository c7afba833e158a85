SAFE = {"len": len, "max": max}


def calculate():
    # ruleid: python-sandbox-by-builtins
    return eval(read_formula(), {"__builtins__": {}})


def run(self):
    names = {"__builtins__": SAFE, "result": None}
    # ruleid: python-sandbox-by-builtins
    exec(self.code, names)
    return names["result"]


def limited(self):
    scope = {}
    scope["__builtins__"] = {"print": print}
    # ruleid: python-sandbox-by-builtins
    exec(self.program, scope, scope)


class Filter:
    def matches(self, row):
        # ruleid: python-sandbox-by-builtins
        return eval(self.compiled, {"__builtins__": None, "row": row}, {})


def safe_eval(self, names):
    # ruleid: python-sandbox-by-builtins
    return eval(self.source, _get_restricted_globals(names), {})
