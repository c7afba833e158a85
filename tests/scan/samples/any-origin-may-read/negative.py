import flask_cors
from fastapi import FastAPI
from fastapi.middleware.cors import CORSMiddleware
from flask import Flask
from flask_cors import CORS

app = Flask(__name__)
# ok: any-origin-may-read
CORS(app, origins=["https://chat.example.com"])
# ok: any-origin-may-read
CORS(app, resources={"/public/*": {"origins": "*"}})
# ok: any-origin-may-read
flask_cors.CORS(app, supports_credentials=True)

api = FastAPI()
# ok: any-origin-may-read
api.add_middleware(CORSMiddleware, allow_origins=ORIGINS, allow_methods=["*"])


class Handler(BaseHTTPRequestHandler):
    def do_POST(self):
        self.send_response(200)
        # ok: any-origin-may-read
        self.send_header("Access-Control-Allow-Origin", "https://chat.example.com")
        self.end_headers()
