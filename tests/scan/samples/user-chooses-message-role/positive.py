from fastapi import FastAPI, Request
from flask import Flask, request
from openai import OpenAI

app = FastAPI()
web = Flask(__name__)
client = OpenAI()


@web.route("/chat", methods=["POST"])
def chat():
    messages = [{"role": "system", "content": "You help."}]
    for message in request.json["messages"]:
        # ruleid: user-chooses-message-role
        messages.append({"role": message["role"], "content": message["content"]})
    return client.chat.completions.create(model="m", messages=messages).choices[0].message.content


@app.post("/one")
async def one(role: str, text: str):
    # ruleid: user-chooses-message-role
    return client.responses.create(model="m", input=[{"role": role, "content": text}])


@web.route("/all", methods=["POST"])
def everything():
    body = request.get_json()
    # ruleid: user-chooses-message-role
    return client.chat.completions.create(model="m", messages=body["messages"]).choices[0].message.content
