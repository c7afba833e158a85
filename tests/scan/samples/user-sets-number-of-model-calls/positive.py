from fastapi import FastAPI
from flask import Flask, request
from openai import OpenAI

app = FastAPI()
web = Flask(__name__)
client = OpenAI()


@app.post("/summarize")
def summarize(texts: list[str]):
    # ruleid: user-sets-number-of-model-calls
    return [client.responses.create(model="m", input=text).output_text for text in texts]


@web.route("/translate", methods=["POST"])
def translate():
    answers = []
    # ruleid: user-sets-number-of-model-calls
    for text in request.get_json()["texts"]:
        reply = client.chat.completions.create(model="m", messages=[{"role": "user", "content": text}])
        answers.append(reply.choices[0].message.content)
    return answers


@app.post("/repeat")
def repeat(text: str, times: int):
    # ruleid: user-sets-number-of-model-calls
    for _ in range(times):
        client.responses.create(model="m", input=text)
