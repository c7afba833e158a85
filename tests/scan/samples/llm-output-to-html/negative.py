import html

import nh3
import streamlit as st
from fastapi.responses import HTMLResponse, JSONResponse
from flask import Flask, jsonify, render_template
from markupsafe import Markup, escape
from openai import OpenAI

app = Flask(__name__)
client = OpenAI()


def escaped(question):
    reply = client.responses.create(model="m", input=question).output_text
    # ok: llm-output-to-html
    return HTMLResponse(f"<p>{html.escape(reply)}</p>")


def cleaned(question):
    reply = nh3.clean(client.responses.create(model="m", input=question).output_text)
    # ok: llm-output-to-html
    return Markup(reply)


def variable(question):
    reply = client.responses.create(model="m", input=question).output_text
    # ok: llm-output-to-html
    return render_template("answer.html", reply=reply)


def data(question):
    reply = client.responses.create(model="m", input=question).output_text
    # ok: llm-output-to-html
    return JSONResponse({"reply": reply})


def markdown(question):
    reply = client.responses.create(model="m", input=question).output_text
    # ok: llm-output-to-html
    st.markdown(reply)


@app.route("/ask")
def ask():
    answer = client.responses.create(model="m", input="hello").output_text
    # ok: llm-output-to-html
    return jsonify({"answer": answer})


@app.route("/safe")
def safe():
    answer = client.responses.create(model="m", input="hello").output_text
    # ok: llm-output-to-html
    return f"<p>{escape(answer)}</p>"
