from fastapi import FastAPI
from flask import Flask, request
from openai import OpenAI

app = FastAPI()
web = Flask(__name__)
client = OpenAI()
PERSONAS = {"friendly": "You are friendly.", "short": "You answer in one sentence."}
SUPPORTED_LANGUAGES = {"en", "de"}


@web.route("/chat", methods=["POST"])
def chat():
    question = request.json["question"]
    messages = [
        # ok: user-input-in-system-prompt
        {"role": "system", "content": "You help customers of the shop."},
        {"role": "user", "content": question},
    ]
    return client.chat.completions.create(model="m", messages=messages)


@app.post("/persona")
async def persona(name: str):
    # ok: user-input-in-system-prompt
    return client.responses.create(model="m", instructions=PERSONAS[name], input="hello")


@app.post("/language")
async def language(code: str):
    if code not in SUPPORTED_LANGUAGES:
        raise ValueError(code)
    # ok: user-input-in-system-prompt
    return client.responses.create(model="m", instructions=f"Answer in {code}.", input="hello")


@app.post("/lookup")
async def lookup(customer_id: str, store):
    profile = store.profile_of(customer_id)
    # ok: user-input-in-system-prompt
    return {"role": "system", "content": f"The customer's plan is {profile.plan}."}
