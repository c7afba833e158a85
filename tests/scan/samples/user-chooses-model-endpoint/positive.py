import litellm
import ollama
from fastapi import FastAPI
from flask import Flask, request
from langchain_openai import ChatOpenAI
from openai import OpenAI

app = FastAPI()
web = Flask(__name__)
KEY = "from a store"


@app.post("/chat")
def chat(text: str, base_url: str):
    # ruleid: user-chooses-model-endpoint
    client = OpenAI(api_key=KEY, base_url=base_url)
    return client.responses.create(model="m", input=text).output_text


@web.route("/complete", methods=["POST"])
def complete():
    body = request.get_json()
    # ruleid: user-chooses-model-endpoint
    return litellm.completion(model="m", messages=[], api_base=body["api_base"]).json()


@web.route("/local")
def local():
    # ruleid: user-chooses-model-endpoint
    return ollama.Client(host=request.args["host"]).list()


@app.post("/langchain")
async def langchain(text: str, endpoint: str):
    # ruleid: user-chooses-model-endpoint
    return ChatOpenAI(model="m", openai_api_base=endpoint).invoke(text).content
