from fastapi import FastAPI
from fastapi.middleware.cors import CORSMiddleware
from flask import Flask
from flask_cors import CORS

app = FastAPI()
# ok: any-origin-may-call
app.add_middleware(CORSMiddleware, allow_origins=["*"], allow_methods=["*"])
# ok: any-origin-may-call
app.add_middleware(
    CORSMiddleware, allow_origins=["https://chat.example.com"], allow_credentials=True
)
# ok: any-origin-may-call
app.add_middleware(CORSMiddleware, allow_origins=["*"], allow_credentials=False)
# ok: any-origin-may-call
app.add_middleware(CORSMiddleware, allow_origins=settings.origins, allow_credentials=True)
flask_app = Flask(__name__)
# ok: any-origin-may-call
CORS(flask_app)
# ok: any-origin-may-call
CORS(flask_app, origins=["https://chat.example.com"], supports_credentials=True)
