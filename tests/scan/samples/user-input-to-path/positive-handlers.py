import os

import bentoml
import gradio as gr
import litserve as ls
import tornado.web
from aiohttp import web
from fastapi import FastAPI
from flask.views import MethodView
from ray import serve
from starlette.endpoints import HTTPEndpoint
from starlette.responses import FileResponse


class ComponentRequestHandler(tornado.web.RequestHandler):
    def get(self, path: str) -> None:
        abspath = os.path.join(self.root, path)
        # ruleid: user-input-to-path
        with open(abspath, "rb") as file:
            self.write(file.read())


class Files(MethodView):
    def delete(self, name):
        # ruleid: user-input-to-path
        os.remove(os.path.join("uploads", name))


class Download(HTTPEndpoint):
    async def get(self, request):
        # ruleid: user-input-to-path
        return FileResponse(request.path_params["name"])


async def job_logs(req: web.Request):
    path = os.path.join("logs", req.match_info["name"])
    # ruleid: user-input-to-path
    return web.Response(text=open(path).read())


class Notes:
    def Read(self, request, context):
        # ruleid: user-input-to-path
        return open(request.path).read()


class Summarizer:
    @bentoml.api
    def summarize(self, path: str) -> str:
        # ruleid: user-input-to-path
        return self.model(open(path).read())


@serve.deployment
class Reader:
    async def __call__(self, query):
        # ruleid: user-input-to-path
        return open(query["path"]).read()


class Api(ls.LitAPI):
    def decode_request(self, body):
        # ruleid: user-input-to-path
        return open(body["file"]).read()


def show(path):
    # ruleid: user-input-to-path
    return open(path).read()


gr.Interface(fn=show, inputs="text", outputs="text").launch()

app = FastAPI()


async def artifact(name: str):
    # ruleid: user-input-to-path
    return FileResponse("artifacts/" + name)


app.add_api_route("/artifacts/{name}", artifact, methods=["GET"])


class Server:
    def routes(self):
        self.app.add_api_route("/files/{name}", self.file)

    def file(self, name: str):
        # ruleid: user-input-to-path
        return FileResponse("files/" + name)
