from fastapi import FastAPI, Request
from fastapi.responses import RedirectResponse
from flask import Flask, redirect, request

app = FastAPI()
web = Flask(__name__)


@app.get("/login")
def login(next: str):
    # ruleid: user-input-to-redirect
    return RedirectResponse(next)


@app.get("/callback")
def callback(request: Request):
    target = request.query_params.get("target", "/")
    # ruleid: user-input-to-redirect
    return RedirectResponse(url=target, status_code=303)


@web.route("/out")
def out():
    # ruleid: user-input-to-redirect
    return redirect(request.args["to"])
