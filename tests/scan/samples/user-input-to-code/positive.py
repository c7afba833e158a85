import ast
import importlib

from fastapi import APIRouter
from flask import Flask, request

router = APIRouter()
site = Flask(__name__)


@router.post("/validate")
async def validate(body: Code):
    # ruleid: user-input-to-code
    exec(body.code, {})


@router.post("/component")
async def component(code: str):
    return build(code)


def build(code: str):
    tree = ast.parse(code)
    # ruleid: user-input-to-code
    exec(compile(tree, "<component>", "exec"), {})


@site.route("/filter")
def rows():
    # ruleid: user-input-to-code
    return str(eval(request.args["where"]))


@router.post("/tool")
def tool(module: str):
    # ruleid: user-input-to-code
    return importlib.import_module(module).describe()


@app.get("/rows")
def rows(q: str):
    df = pandas.read_csv("orders.csv")
    # ruleid: user-input-to-code
    return df.query(q).to_dict()
