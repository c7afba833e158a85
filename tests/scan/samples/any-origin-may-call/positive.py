from fastapi import FastAPI
from fastapi.middleware.cors import CORSMiddleware
from flask import Flask
from flask_cors import CORS
from starlette.applications import Starlette
from starlette.middleware import Middleware

app = FastAPI()
# ruleid: any-origin-may-call
app.add_middleware(
    CORSMiddleware,
    allow_origins=["*"],
    allow_credentials=True,
    allow_methods=["*"],
    allow_headers=["*"],
)


def setup(service: FastAPI) -> None:
    origins = ["*"]
    # ruleid: any-origin-may-call
    service.add_middleware(CORSMiddleware, allow_origins=origins, allow_credentials=True)


other = Starlette(
    # ruleid: any-origin-may-call
    middleware=[Middleware(CORSMiddleware, allow_origins=["*"], allow_credentials=True)]
)
flask_app = Flask(__name__)
# ruleid: any-origin-may-call
CORS(flask_app, supports_credentials=True)
# ruleid: any-origin-may-call
CORS(flask_app, origins="*", supports_credentials=True)
