import os

from fastapi import FastAPI
from flask import Flask
from starlette.applications import Starlette

app = Flask(__name__)
# ok: debug-mode-of-server
api = FastAPI(title="agent")
# ok: debug-mode-of-server
star = Starlette(debug=settings.debug, routes=[])


def main() -> None:
    # ok: debug-mode-of-server
    app.run(host="127.0.0.1", port=5000)
    # ok: debug-mode-of-server
    app.run(debug=os.environ.get("APP_DEBUG") == "1")
    # ok: debug-mode-of-server
    app.run(debug=False)


def evaluate(pipeline) -> None:
    # ok: debug-mode-of-server
    pipeline.run(debug=True)
