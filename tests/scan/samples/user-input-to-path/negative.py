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
