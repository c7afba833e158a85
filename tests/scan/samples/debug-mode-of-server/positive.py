from fastapi import FastAPI
from flask import Flask
from starlette.applications import Starlette
from werkzeug.serving import run_simple

app = Flask(__name__)
# ruleid: debug-mode-of-server
api = FastAPI(debug=True, title="agent")
# ruleid: debug-mode-of-server
star = Starlette(debug=True, routes=[])


def main() -> None:
    # ruleid: debug-mode-of-server
    app.run(host="0.0.0.0", port=5000, debug=True)


def other() -> None:
    # ruleid: debug-mode-of-server
    run_simple("0.0.0.0", 5000, app, use_debugger=True)
