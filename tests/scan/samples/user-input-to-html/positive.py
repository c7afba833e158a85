import streamlit as st
from fastapi import FastAPI
from fastapi.responses import HTMLResponse
from flask import Flask, request
from markupsafe import Markup

app = FastAPI()
web = Flask(__name__)


@app.get("/chat", response_class=HTMLResponse)
def chat(session: str):
    # ruleid: user-input-to-html
    return HTMLResponse(f"<h1>Conversation {session}</h1>")


@web.route("/error")
def error():
    # ruleid: user-input-to-html
    return f"<p>No such model: {request.args['model']}</p>"


@web.route("/note", methods=["POST"])
def note():
    text = request.form["note"]
    # ruleid: user-input-to-html
    return {"note": Markup("<b>" + text + "</b>")}


def page():
    question = st.chat_input("Ask")
    # ruleid: user-input-to-html
    st.markdown(f"<div class='me'>{question}</div>", unsafe_allow_html=True)


@app.get("/title", response_class=HTMLResponse)
def title(name: str):
    # ruleid: user-input-to-html
    return f"<h1>{name}</h1>"
