from fastapi import FastAPI, HTTPException
from flask import Flask, request
from openai import OpenAI

app = FastAPI()
web = Flask(__name__)
client = OpenAI()
MOST_TEXTS = 10


@app.post("/summarize")
def summarize(texts: list[str]):
    chosen = texts[:MOST_TEXTS]
    # ok: user-sets-number-of-model-calls
    return [client.responses.create(model="m", input=text).output_text for text in chosen]


@app.post("/checked")
def checked(texts: list[str]):
    if len(texts) > MOST_TEXTS:
        raise HTTPException(413)
    # ok: user-sets-number-of-model-calls
    for text in texts:
        client.responses.create(model="m", input=text)


@web.route("/three", methods=["POST"])
def three():
    text = request.get_json()["text"]
    # ok: user-sets-number-of-model-calls
    for style in ("short", "long", "funny"):
        client.responses.create(model="m", input=f"{style}: {text}")
    return "ok"


def batch(texts):
    # ok: user-sets-number-of-model-calls
    return [client.responses.create(model="m", input=text) for text in texts]
