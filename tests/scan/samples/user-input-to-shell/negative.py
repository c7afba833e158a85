import os
import shlex
import subprocess

from fastapi import FastAPI
from flask import Flask, request

app = FastAPI()
site = Flask(__name__)
ALLOWED_NODES = {"gpu1", "gpu2"}


@app.get("/gpu")
def gpu(node: str):
    if node not in ALLOWED_NODES:
        raise ValueError(node)
    # ok: user-input-to-shell
    return os.popen(f"ssh {node} nvidia-smi").read()


@site.route("/train", methods=["POST"])
def train():
    data = request.get_json()
    # ok: user-input-to-shell
    subprocess.Popen(["python", "train.py", "--model", data["model"]])
    return "started"


@app.get("/log")
def log(name: str):
    # ok: user-input-to-shell
    return os.popen("tail -n 20 " + shlex.quote(name)).read()


@app.get("/dump/{pid}")
def dump(pid: str):
    number = int(pid)
    # ok: user-input-to-shell
    return subprocess.check_output(f"py-spy dump -p {number}", shell=True)


@app.post("/reload")
def reload():
    # ok: user-input-to-shell
    os.system("systemctl reload agent")


@app.post("/lint-list")
def lint_list(path: str):
    command = ["bash", "lint.sh", path]
    options = {"check": True}
    # ok: user-input-to-shell
    return subprocess.run(command, **options)


@app.post("/words")
def words(target: str):
    # ok: user-input-to-shell
    return subprocess.run(["make", target], shell=False, check=True)


@app.post("/no-shell")
def no_shell(target: str):
    # ok: user-input-to-shell
    return subprocess.run(args=["make", "--", target], shell=USE_SHELL)
