import os

import gradio as gr
import tornado.web
from flask.views import MethodView
from fastapi import FastAPI


class Checked(tornado.web.RequestHandler):
    def get(self, path: str) -> None:
        full = os.path.realpath(os.path.join(self.root, path))
        if os.path.commonpath([full, self.root]) != self.root:
            raise tornado.web.HTTPError(403)
        # ok: user-input-to-path
        with open(full, "rb") as file:
            self.write(file.read())


class Settings(MethodView):
    def get(self, request):
        # ok: user-input-to-path
        return open(self.path).read()

    def load(self, name):
        # ok: user-input-to-path
        return open(name).read()


class Store:
    def get(self, name):
        # ok: user-input-to-path
        return open(name).read()


def not_registered(path):
    # ok: user-input-to-path
    return open(path).read()


def numbers(count: int):
    # ok: user-input-to-path
    return open(f"pages/{count}.txt").read()


gr.Interface(fn=numbers, inputs="number", outputs="text").launch()

app = FastAPI()


def fixed():
    # ok: user-input-to-path
    return open("README.md").read()


app.add_api_route("/readme", fixed)
