from fastapi import FastAPI, UploadFile
from flask import Flask, request
from openai import OpenAI

app = FastAPI()
web = Flask(__name__)
client = OpenAI()


@app.post("/feedback")
def feedback(text: str, label: str):
    # ok: user-input-to-training
    review_queue.put({"text": text, "label": label})


@app.post("/examples")
async def examples(upload: UploadFile):
    # ok: user-input-to-training
    return client.files.create(file=upload.file, purpose="user_data")


@web.route("/learn", methods=["POST"])
def learn():
    rows = approved_rows(request.get_json()["rows"])
    # ok: user-input-to-training
    classifier.fit(load_training_set())
    return str(len(rows))


@web.route("/predict", methods=["POST"])
def predict():
    # ok: user-input-to-training
    return classifier.predict([request.get_json()["text"]])
