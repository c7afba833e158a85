import anthropic
import streamlit as st
from fastapi import FastAPI
from flask import Flask, request
from langchain_core.messages import SystemMessage
from langchain_core.prompts import ChatPromptTemplate
from openai import OpenAI

app = FastAPI()
web = Flask(__name__)
client = OpenAI()
claude = anthropic.Anthropic()


@web.route("/chat", methods=["POST"])
def chat():
    persona = request.json["persona"]
    # ruleid: user-input-in-system-prompt
    messages = [{"role": "system", "content": f"You are {persona}."}]
    return client.chat.completions.create(model="m", messages=messages)


@app.post("/support")
async def support(language: str, question: str):
    system = "Answer in " + language
    # ruleid: user-input-in-system-prompt
    return claude.messages.create(model="m", max_tokens=9, system=system, messages=[])


def page():
    style = st.text_input("How should I write?")
    # ruleid: user-input-in-system-prompt
    first = SystemMessage(content="Write like this: {}".format(style))
    # ruleid: user-input-in-system-prompt
    prompt = ChatPromptTemplate.from_messages([("system", style), ("human", "{question}")])
    # ruleid: user-input-in-system-prompt
    answer = client.responses.create(model="m", instructions=style, input="hello")
    return first, prompt, answer
