import os
from fastapi import UploadFile
from pathlib import Path

from fastapi import FastAPI
from fastapi.responses import FileResponse
from flask import Flask, request, send_file

app = FastAPI()
web = Flask(__name__)
LOGS = Path("logs")


@app.get("/logs/{name:path}")
def log(name: str):
    # ruleid: user-input-to-path
    return FileResponse(LOGS / name)


@web.route("/models")
def model():
    path = "models/" + request.args["name"]
    # ruleid: user-input-to-path
    return send_file(path)


class LogServer:
    async def StreamLog(self, request, context):
        if Path(request.file_name).is_absolute():
            path = Path(request.file_name)
        else:
            path = LOGS / request.file_name
        # ruleid: user-input-to-path
        with open(path, "rb") as file:
            await context.write(file.read())


@app.post("/upload-as")
async def upload_as(file: UploadFile):
    # ruleid: user-input-to-path
    return open(os.path.join("uploads", file.filename), "wb")


@app.post("/split")
def split(url: str):
    name = url.split("/")[0]
    # ruleid: user-input-to-path
    return open(os.path.join("models", url.split("=")[-1] + name), "wb")


def log_file(name: str):
    # ruleid: user-input-to-path
    return FileResponse(LOGS / name)


app.add_api_route("/log-file/{name}", log_file, methods=["GET"])


class Server:
    def __init__(self):
        self.router = APIRouter()
        self.router.add_api_route("/files/{name}", self.file)

    def file(self, name: str):
        # ruleid: user-input-to-path
        return (LOGS / name).read_text()
