import jinja2
from flask import render_template_string
from jinja2 import Environment, Template
from langchain_openai import ChatOpenAI
from mako.template import Template as MakoTemplate
from openai import OpenAI

client = OpenAI()
chat_model = ChatOpenAI()


def letter(question, name):
    reply = client.responses.create(model="m", input=question).output_text
    # ruleid: llm-output-to-template
    return Template("Dear customer, " + reply).render(name=name)


def page(question):
    answer = chat_model.invoke(question).content
    # ruleid: llm-output-to-template
    return render_template_string(f"<main>{answer}</main>")


def environment(question, values):
    source = chat_model.invoke(f"Write a Jinja template for: {question}").content
    env = Environment(autoescape=True)
    # ruleid: llm-output-to-template
    return env.from_string(source).render(**values)


def at_once(question, values):
    source = chat_model.invoke(question).content
    # ruleid: llm-output-to-template
    return jinja2.Environment().from_string(source).render(**values)


def report(question, rows):
    answer = client.chat.completions.create(model="m", messages=[{"role": "user", "content": question}])
    # ruleid: llm-output-to-template
    return MakoTemplate(answer.choices[0].message.content).render(rows=rows)
