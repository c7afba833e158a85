import ast
import json
import openai

client = openai.OpenAI()
EXPRESSIONS = {"sum": "1 + 2"}
ALLOWED_EXPRESSIONS = ["1 + 2", "3 * 4"]


def literal(question):
    text = client.responses.create(model="m", input=question).output_text
    # ok: llm-output-to-exec
    value = ast.literal_eval(text)
    # ok: llm-output-to-exec
    return json.loads(text), value


def fixed_code(question):
    text = client.responses.create(model="m", input=question).output_text
    text = "1 + 2"
    # ok: llm-output-to-exec
    return eval(text)


def question_is_not_answer(question):
    # ok: llm-output-to-exec
    return client.responses.create(model="m", input=eval(question))


def from_table(question):
    name = client.responses.create(model="m", input=question).output_text
    # ok: llm-output-to-exec
    return eval(EXPRESSIONS[name])


def allow_list(question):
    text = client.responses.create(model="m", input=question).output_text
    if text not in ALLOWED_EXPRESSIONS:
        raise ValueError(text)
    # ok: llm-output-to-exec
    return eval(text)


def checked(question, checker):
    text = client.responses.create(model="m", input=question).output_text
    checker.validate_code(text)
    # ok: llm-output-to-exec
    exec(text)


def method_of_that_name(frame, engine):
    text = client.responses.create(model="m", input="q").output_text
    # ok: llm-output-to-exec
    engine.exec(text)


class Chain:
    allow_dangerous_code: bool = False

    def run(self, question):
        code = self.llm_chain.predict(question=question)
        # ok: llm-output-to-exec
        exec(code)
