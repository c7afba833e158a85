import hashlib
import os
from uuid import UUID
from fastapi import UploadFile
from pathlib import Path

from fastapi import FastAPI, HTTPException
from fastapi.responses import FileResponse
from flask import Flask, request, send_file
from werkzeug.utils import secure_filename

app = FastAPI()
web = Flask(__name__)
LOGS = Path("logs").resolve()
FILES = {"readme": "README.md"}


@app.get("/logs/{name:path}")
def log(name: str):
    path = (LOGS / name).resolve()
    if not path.is_relative_to(LOGS):
        raise HTTPException(404)
    # ok: user-input-to-path
    return FileResponse(path)


@web.route("/models")
def model():
    # ok: user-input-to-path
    return send_file(LOGS / secure_filename(request.args["name"]))


@app.get("/files")
def known(name: str):
    # ok: user-input-to-path
    return FileResponse(FILES[name])


@app.get("/numbers")
def number(page: int):
    # ok: user-input-to-path
    return FileResponse(LOGS / f"{int(page)}.txt")


def helper(path: str):
    # ok: user-input-to-path
    return open(path)


@app.post("/speech")
async def speech(text: str):
    name = hashlib.sha256(text.encode()).hexdigest()
    # ok: user-input-to-path
    return FileResponse(LOGS / f"{name}.mp3")


@app.post("/pull")
def pull(url: str):
    name = url.split("/")[-1]
    # ok: user-input-to-path
    return open(os.path.join("models", name), "wb")


@app.post("/upload")
async def upload(file: UploadFile, run: UUID):
    # ok: user-input-to-path
    os.unlink(file.file.name)
    # ok: user-input-to-path
    return open(f"runs/{run}")


@app.post("/store")
async def store(db: Session, current_user: User):
    # ok: user-input-to-path
    return open(current_user.avatar)


@app.get("/resolved/{name:path}")
def resolved(name: str):
    path = os.path.join(LOGS, name)
    real = os.path.realpath(os.path.abspath(path))
    if not real.startswith(str(LOGS) + os.sep):
        raise ValueError(name)
    # ok: user-input-to-path
    return FileResponse(path)


@app.get("/plain/{name:path}")
def plain(name: str):
    if Path(name).name != name:
        raise ValueError(name)
    # ok: user-input-to-path
    return FileResponse(LOGS / name)
