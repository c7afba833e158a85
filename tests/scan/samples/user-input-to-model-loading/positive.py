import mlflow
import torch
from fastapi import FastAPI
from flask import Flask, request
from sentence_transformers import SentenceTransformer
from transformers import AutoModel, pipeline

app = FastAPI()
web = Flask(__name__)


@app.post("/embed")
def embed(model: str, text: str):
    # ruleid: user-input-to-model-loading
    return SentenceTransformer(model).encode(text).tolist()


@web.route("/classify", methods=["POST"])
def classify():
    body = request.get_json()
    # ruleid: user-input-to-model-loading
    return pipeline("text-classification", model=body["model"])(body["text"])


@web.route("/load")
def load():
    path = "checkpoints/" + request.args["name"]
    # ruleid: user-input-to-model-loading
    return str(torch.load(path, weights_only=True).keys())


@app.post("/predict")
async def predict(uri: str):
    # ruleid: user-input-to-model-loading
    return mlflow.pyfunc.load_model(uri).metadata


@app.post("/switch")
async def switch(name: str):
    # ruleid: user-input-to-model-loading
    app.state.model = AutoModel.from_pretrained(name)
