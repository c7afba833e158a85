import streamlit as st
from fastapi.responses import HTMLResponse
from flask import Flask
from markupsafe import Markup
from openai import OpenAI

app = Flask(__name__)
client = OpenAI()


def fastapi_page(question):
    reply = client.responses.create(model="m", input=question).output_text
    # ruleid: llm-output-to-html
    return HTMLResponse(f"<p>{reply}</p>")


def fastapi_keyword(question):
    reply = client.responses.create(model="m", input=question).output_text
    page = "<html>" + reply + "</html>"
    # ruleid: llm-output-to-html
    return HTMLResponse(status_code=200, content=page)


def marked(question, llm):
    # ruleid: llm-output-to-html
    return Markup(llm.invoke(question).content)


def page(question, llm):
    answer = llm.invoke(question)
    # ruleid: llm-output-to-html
    st.markdown(answer.content, unsafe_allow_html=True)


@app.route("/ask")
def ask():
    answer = client.responses.create(model="m", input="hello").output_text
    # ruleid: llm-output-to-html
    return f"<h1>Answer</h1><p>{answer}</p>"
