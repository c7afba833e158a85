from fastapi import FastAPI, HTTPException
from flask import Flask, request
from openai import OpenAI

app = FastAPI()
web = Flask(__name__)
client = OpenAI()


@app.post("/chat")
def chat(text: str, tokens: int):
    # ok: user-sets-generation-limits
    return client.responses.create(model="m", input=text, max_output_tokens=min(tokens, 500))


@app.post("/checked")
def checked(text: str, tokens: int):
    if tokens > 500:
        raise HTTPException(400)
    # ok: user-sets-generation-limits
    return client.responses.create(model="m", input=text, max_output_tokens=tokens)


@web.route("/fixed", methods=["POST"])
def fixed():
    # ok: user-sets-generation-limits
    return client.responses.create(model="m", input=request.get_json()["text"], max_output_tokens=300).output_text


def wrapper(text, max_tokens):
    # ok: user-sets-generation-limits
    return client.chat.completions.create(model="m", messages=[], max_tokens=max_tokens)
