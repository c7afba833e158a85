import ast
import importlib
import json

from fastapi import APIRouter
from flask import Flask, request

router = APIRouter()
site = Flask(__name__)
ALLOWED_MODULES = {"tools.search", "tools.mail"}


@router.post("/validate")
async def validate(body: Code):
    # ok: user-input-to-code
    ast.parse(body.code)


@site.route("/filter")
def rows():
    # ok: user-input-to-code
    return str(ast.literal_eval(request.args["where"]))


@router.post("/tool")
def tool(module: str):
    if module not in ALLOWED_MODULES:
        raise ValueError(module)
    # ok: user-input-to-code
    return importlib.import_module(module).describe()


@router.post("/data")
def data(text: str):
    # ok: user-input-to-code
    return json.loads(text)


def helper(code: str):
    # ok: user-input-to-code
    exec(code, {})
