from fastapi import FastAPI
from flask import Flask, jsonify

app = FastAPI()
web = Flask(__name__)
SYSTEM_PROMPT = "You help the customers of the shop."


@app.post("/chat")
def chat(text: str):
    # ruleid: system-prompt-in-response
    return {"answer": ask(SYSTEM_PROMPT, text), "prompt": SYSTEM_PROMPT}


@app.get("/debug")
async def debug():
    messages = [{"role": "system", "content": SYSTEM_PROMPT}]
    # ruleid: system-prompt-in-response
    return {"messages": messages}


@web.route("/about")
def about():
    # ruleid: system-prompt-in-response
    return jsonify(model="m", prompt=SYSTEM_PROMPT)
