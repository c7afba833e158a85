import ast

FORMULAS = {"sum": "1 + 1"}


def literal(text):
    # ok: function-argument-to-code
    return ast.literal_eval(text)


def constant(name):
    # ok: function-argument-to-code
    return eval("1 + 1")


def table(name):
    # ok: function-argument-to-code
    return eval(FORMULAS[name])


def own_state(self):
    # ok: function-argument-to-code
    return eval(self.expression)


def number(count: int):
    # ok: function-argument-to-code
    return eval(f"[0] * {count}")


def model_mode(model):
    # ok: function-argument-to-code
    model.eval()
    return model


class Chain:
    def evaluate(self, expression: str) -> str:
        if self.allow_dangerous_code:
            # ok: function-argument-to-code
            return str(eval(expression))
        return expression


def rows(database, query):
    # ok: function-argument-to-code
    return database.query(query, limit=10)
