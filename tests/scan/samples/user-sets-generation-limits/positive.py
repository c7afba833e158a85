import litellm
from fastapi import FastAPI
from flask import Flask, request
from openai import OpenAI

app = FastAPI()
web = Flask(__name__)
client = OpenAI()


@app.post("/chat")
def chat(text: str, tokens: int):
    # ruleid: user-sets-generation-limits
    return client.responses.create(model="m", input=text, max_output_tokens=tokens)


@web.route("/complete", methods=["POST"])
def complete():
    body = request.get_json()
    # ruleid: user-sets-generation-limits
    return litellm.completion(model="m", messages=[], max_tokens=body["max_tokens"]).json()


@web.route("/variants")
def variants():
    # ruleid: user-sets-generation-limits
    return client.chat.completions.create(model="m", messages=[], n=int(request.args["n"])).json()
