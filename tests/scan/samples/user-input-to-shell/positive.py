import os
import subprocess

from fastapi import FastAPI
from flask import Flask, request

app = FastAPI()
site = Flask(__name__)


@app.get("/gpu")
def gpu(node: str):
    # ruleid: user-input-to-shell
    return os.popen(f"ssh {node} nvidia-smi").read()


@site.route("/train", methods=["POST"])
def train():
    data = request.get_json()
    command = "python train.py --model " + data["model"]
    # ruleid: user-input-to-shell
    subprocess.Popen(command, shell=True)
    return "started"


@app.post("/convert")
async def convert(body: dict):
    run(body["model"])


def run(model):
    # ruleid: user-input-to-shell
    subprocess.run(["bash", "-c", f"convert {model}"], check=True)


async def profile(req):
    pid = req.query["pid"]
    # ruleid: user-input-to-shell
    return subprocess.check_output(f"py-spy dump -p {pid}", shell=True)


@app.post("/lint")
def lint(path: str):
    # ruleid: user-input-to-shell
    return subprocess.run(["bash", "-lc", f"lint {path}"], capture_output=True)


@app.post("/build")
def build(target: str):
    options = {"shell": True, "check": True}
    # ruleid: user-input-to-shell
    subprocess.run(f"make {target}", **options)


@app.post("/start")
def start(program: str):
    # ruleid: user-input-to-shell
    return subprocess.Popen(program.split())


@app.post("/named")
def named(target: str):
    # ruleid: user-input-to-shell
    return subprocess.run(args=f"make {target}", shell=True)


@app.post("/asked")
def asked(target: str):
    command = f"make {target}"
    # ruleid: user-input-to-shell
    return subprocess.run(command, shell=USE_SHELL, check=True)


@app.post("/loop")
async def loop(target: str):
    # ruleid: user-input-to-shell
    return await asyncio.subprocess.create_subprocess_shell(f"make {target}")
