from pathlib import Path

import pandas as pd
from fastapi import FastAPI, UploadFile
from flask import Flask, request
from werkzeug.utils import secure_filename

app = FastAPI()
web = Flask(__name__)
DATA = Path("data").resolve()


@web.route("/upload", methods=["POST"])
def upload():
    sent = request.files["document"]
    # ok: user-input-to-path
    sent.save(DATA / secure_filename(sent.filename))
    return "done"


@app.post("/store")
async def store(file: UploadFile):
    # ok: user-input-to-path
    return storage.save(file)


@app.get("/query")
def query(name: str):
    frame = pd.read_csv("data/all.csv")
    # ok: user-input-to-path
    return frame[frame["name"] == name].to_json()


@app.get("/checked")
def checked(name: str):
    path = (DATA / name).resolve()
    if not path.is_relative_to(DATA):
        raise ValueError(name)
    # ok: user-input-to-path
    with path.open() as file:
        return file.read()


@app.get("/own-check")
def own_check(name: str):
    path = DATA / name
    if not _resolved_path_is_within(DATA, path):
        raise ValueError(name)
    # ok: user-input-to-path
    return path.read_text()
