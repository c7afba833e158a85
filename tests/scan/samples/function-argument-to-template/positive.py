import jinja2
from flask import Flask, render_template_string, request
from jinja2 import Environment, StrictUndefined, Template

app = Flask(__name__)


def render(template: str, messages: list) -> str:
    env = jinja2.Environment(trim_blocks=True)
    # ruleid: function-argument-to-template
    return env.from_string(template).render(messages=messages)


class ChatFormatter:
    def __init__(self, template: str, eos_token: str):
        self.template = template
        # ruleid: function-argument-to-template
        self._environment = Environment(undefined=StrictUndefined).from_string(self.template)
        self.eos_token = eos_token


class PromptBuilder:
    def __init__(self, prompt: str):
        # ruleid: function-argument-to-template
        self.compiled = Template(prompt)


@app.route("/preview", methods=["POST"])
def preview():
    # ruleid: function-argument-to-template
    return render_template_string(request.form["prompt"], user="you")


def late(content: str, values: dict) -> str:
    Template, Error = _load_jinja2()
    # ruleid: function-argument-to-template
    return Template(content).render(**values)
