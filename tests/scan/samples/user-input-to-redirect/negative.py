from urllib.parse import urlparse

from fastapi import FastAPI, HTTPException, Request
from fastapi.responses import RedirectResponse
from flask import Flask, redirect, request

app = FastAPI()
web = Flask(__name__)
PAGES = {"chat": "/chat"}
ALLOWED_TARGETS = {"/chat", "/settings"}


@app.get("/login")
def login(next: str):
    # ok: user-input-to-redirect
    return RedirectResponse(PAGES.get(next, "/"))


@app.get("/allowed")
def allowed(next: str):
    if next not in ALLOWED_TARGETS:
        raise HTTPException(400)
    # ok: user-input-to-redirect
    return RedirectResponse(next)


@app.get("/model/{name}")
def model(name: str):
    # ok: user-input-to-redirect
    return RedirectResponse(f"/models/{name}")


@web.route("/out")
def out():
    target = request.args["to"]
    if urlparse(target).netloc:
        return "no"
    # ok: user-input-to-redirect
    return redirect(target)


@app.get("/home")
def home(request: Request):
    # ok: user-input-to-redirect
    return RedirectResponse(request.url_for("chat"))


@app.get("/again")
def again(words: str):
    address = f"/login?next={words}"
    # ok: user-input-to-redirect
    return RedirectResponse(address)


def after_login(request):
    from django.shortcuts import redirect
    from django.utils.http import url_has_allowed_host_and_scheme

    target = request.GET.get("next")
    if not url_has_allowed_host_and_scheme(url=target, allowed_hosts=request.get_host()):
        target = "/"
    # ok: user-input-to-redirect
    return redirect(target)
