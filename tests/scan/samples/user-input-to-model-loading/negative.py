from fastapi import FastAPI, HTTPException
from flask import Flask, request
from sentence_transformers import SentenceTransformer
from transformers import AutoModel, pipeline

app = FastAPI()
web = Flask(__name__)
MODELS = {"small": SentenceTransformer("all-MiniLM-L6-v2")}
SUPPORTED_MODELS = {"bert-base-uncased"}
classifier = pipeline("text-classification", model="distilbert-base-uncased")


@app.post("/embed")
def embed(model: str, text: str):
    # ok: user-input-to-model-loading
    return MODELS[model].encode(text).tolist()


@web.route("/classify", methods=["POST"])
def classify():
    # ok: user-input-to-model-loading
    return classifier(request.get_json()["text"])


@app.post("/switch")
async def switch(name: str):
    if name not in SUPPORTED_MODELS:
        raise HTTPException(404)
    # ok: user-input-to-model-loading
    app.state.model = AutoModel.from_pretrained(name)


def load(name: str):
    # ok: user-input-to-model-loading
    return AutoModel.from_pretrained(name)
