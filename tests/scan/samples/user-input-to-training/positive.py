from fastapi import FastAPI, UploadFile
from flask import Flask, request
from openai import OpenAI

app = FastAPI()
web = Flask(__name__)
client = OpenAI()


@app.post("/feedback")
def feedback(text: str, label: str):
    # ruleid: user-input-to-training
    model.partial_fit(vectorizer.transform([text]), [label])


@app.post("/examples")
async def examples(upload: UploadFile):
    # ruleid: user-input-to-training
    stored = client.files.create(file=upload.file, purpose="fine-tune")
    return client.fine_tuning.jobs.create(model="m", training_file=stored.id)


@web.route("/learn", methods=["POST"])
def learn():
    rows = request.get_json()["rows"]
    # ruleid: user-input-to-training
    classifier.fit([row["text"] for row in rows], [row["label"] for row in rows])
    return "ok"
