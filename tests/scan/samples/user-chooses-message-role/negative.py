from fastapi import FastAPI, HTTPException
from flask import Flask, request
from openai import OpenAI

app = FastAPI()
web = Flask(__name__)
client = OpenAI()


@web.route("/chat", methods=["POST"])
def chat():
    messages = [{"role": "system", "content": "You help."}]
    for message in request.json["messages"]:
        # ok: user-chooses-message-role
        messages.append({"role": "user", "content": message["content"]})
    return client.chat.completions.create(model="m", messages=messages).choices[0].message.content


@app.post("/one")
async def one(role: str, text: str):
    if role not in {"user", "assistant"}:
        raise HTTPException(400)
    # ok: user-chooses-message-role
    return client.responses.create(model="m", input=[{"role": role, "content": text}])


@app.post("/mapped")
async def mapped(mine: bool, text: str):
    # ok: user-chooses-message-role
    return [{"role": "user" if mine == 1 else "assistant", "content": text}]


def history(rows):
    # ok: user-chooses-message-role
    return [{"role": row.role, "content": row.text} for row in rows]
