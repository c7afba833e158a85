import flask_cors
from fastapi import FastAPI
from fastapi.middleware.cors import CORSMiddleware
from flask import Flask
from flask_cors import CORS

app = Flask(__name__)
# ruleid: any-origin-may-read
CORS(app)
# ruleid: any-origin-may-read
flask_cors.CORS(app, origins="*")

api = FastAPI()
# ruleid: any-origin-may-read
api.add_middleware(CORSMiddleware, allow_origins=["*"], allow_methods=["*"])


class Handler(BaseHTTPRequestHandler):
    def do_POST(self):
        self.send_response(200)
        # ruleid: any-origin-may-read
        self.send_header("Access-Control-Allow-Origin", "*")
        self.end_headers()


async def stream(request):
    response = StreamResponse()
    # ruleid: any-origin-may-read
    response.headers["Access-Control-Allow-Origin"] = "*"
    return response
