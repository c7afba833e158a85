import shutil
import tarfile
from pathlib import Path

import openpyxl
import pandas as pd
from fastapi import FastAPI
from fastapi.responses import FileResponse
from flask import Flask, request
from PIL import Image

app = FastAPI()
web = Flask(__name__)
DATA = Path("data")


@app.get("/named")
def named(name: str):
    # ruleid: user-input-to-path
    return FileResponse(path=DATA / name)


@app.get("/method")
def method(path: str):
    # ruleid: user-input-to-path
    with Path(path).open() as file:
        return file.read()


@app.get("/table")
def table(name: str):
    # ruleid: user-input-to-path
    return pd.read_csv(f"data/{name}.csv").to_dict()


@app.get("/sheet")
def sheet(filename: str):
    # ruleid: user-input-to-path
    return openpyxl.load_workbook(filename).sheetnames


@app.get("/picture")
def picture(name: str):
    # ruleid: user-input-to-path
    return Image.open(DATA / name).size


@app.post("/copy")
def copy(source: str, target: str):
    # ruleid: user-input-to-path
    shutil.copy2("template.txt", target)
    # ruleid: user-input-to-path
    shutil.copytree(source, "backup")


@app.post("/archive")
def archive(path: str):
    # ruleid: user-input-to-path
    with tarfile.open(path) as members:
        return members.getnames()


@web.route("/upload", methods=["POST"])
def upload():
    sent = request.files["document"]
    # ruleid: user-input-to-path
    sent.save("uploads/" + sent.filename)
    return "done"
