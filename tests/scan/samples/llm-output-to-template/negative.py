from flask import render_template_string
from jinja2 import Template
from jinja2.sandbox import ImmutableSandboxedEnvironment, SandboxedEnvironment
from langchain_openai import ChatOpenAI
from openai import OpenAI

client = OpenAI()
chat_model = ChatOpenAI()
TEMPLATES = {"short": "{{ reply }}", "long": "<p>{{ reply }}</p>"}
sandbox_env = ImmutableSandboxedEnvironment(autoescape=True)


def variable(question, name):
    reply = client.responses.create(model="m", input=question).output_text
    # ok: llm-output-to-template
    return Template("Dear customer, {{ reply }}").render(name=name, reply=reply)


def escaped_by_flask(question):
    reply = chat_model.invoke(question).content
    # ok: llm-output-to-template
    return render_template_string("<p>{{ reply }}</p>", reply=reply)


def sandboxed(question, values):
    source = chat_model.invoke(question).content
    # ok: llm-output-to-template
    return sandbox_env.from_string(source).render(**values)


def sandboxed_here(question, values):
    source = chat_model.invoke(question).content
    # ok: llm-output-to-template
    return SandboxedEnvironment().from_string(source).render(**values)


def chosen(question):
    name = chat_model.invoke(f"One of {sorted(TEMPLATES)} for: {question}").content
    # ok: llm-output-to-template
    return Template(TEMPLATES[name]).render(reply=name)
