import ast
from sympy import sympify


def parse_argument(text):
    # ruleid: function-argument-to-code
    return eval(text)


def wrapper(self, query: str) -> str:
    context = {"self": self}
    # ruleid: function-argument-to-code
    exec(f"result = {query}", context)
    return context["result"]


def run_module(path):
    with open(path, "rb") as file:
        # ruleid: function-argument-to-code
        exec(file.read(), {})


def split(query):
    tree = ast.parse(query)
    body = ast.Module(tree.body[:-1], type_ignores=[])
    # ruleid: function-argument-to-code
    exec(ast.unparse(body))


def tokens(arguments):
    values = []
    for token in arguments:
        token = token.strip()
        # ruleid: function-argument-to-code
        values.append(eval(token))
    return values


class Chain:
    def evaluate(self, expression: str) -> str:
        # ruleid: function-argument-to-code
        return str(sympify(expression, evaluate=True))


def rows(frame, query, names):
    # ruleid: function-argument-to-code
    return frame.query(query, local_dict=names or {}, engine="python")
