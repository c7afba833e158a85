import logging

from fastapi import FastAPI
from flask import Flask, jsonify

app = FastAPI()
web = Flask(__name__)
SYSTEM_PROMPT = "You help the customers of the shop."


@app.post("/chat")
def chat(text: str):
    # ok: system-prompt-in-response
    return {"answer": ask(SYSTEM_PROMPT, text)}


@app.post("/client")
async def with_client(text: str):
    reply = client.responses.create(model="m", instructions=SYSTEM_PROMPT, input=text)
    # ok: system-prompt-in-response
    return {"answer": reply.output_text}


@web.route("/about")
def about():
    # ok: system-prompt-in-response
    return jsonify(model="m", has_prompt=bool(SYSTEM_PROMPT))


def messages(text):
    # ok: system-prompt-in-response
    return [{"role": "system", "content": SYSTEM_PROMPT}, {"role": "user", "content": text}]


@app.get("/log")
def log():
    logging.debug(SYSTEM_PROMPT)
    # ok: system-prompt-in-response
    return {"ok": True}
