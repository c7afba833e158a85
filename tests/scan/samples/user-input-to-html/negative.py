import html

import streamlit as st
from fastapi import FastAPI
from fastapi.responses import HTMLResponse
from flask import Flask, jsonify, render_template, request

app = FastAPI()
web = Flask(__name__)
PAGES = {"a": "<p>A</p>"}


@app.get("/chat", response_class=HTMLResponse)
def chat(session: str):
    # ok: user-input-to-html
    return HTMLResponse(f"<h1>Conversation {html.escape(session)}</h1>")


@web.route("/error")
def error():
    # ok: user-input-to-html
    return jsonify({"error": f"no such model: {request.args['model']}"})


@web.route("/note", methods=["POST"])
def note():
    # ok: user-input-to-html
    return render_template("note.html", note=request.form["note"])


@app.get("/page")
def page(name: str):
    # ok: user-input-to-html
    return HTMLResponse(PAGES[name])


def streamlit_page():
    question = st.chat_input("Ask")
    # ok: user-input-to-html
    st.markdown(question)
