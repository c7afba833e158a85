import http.server
from http.server import BaseHTTPRequestHandler
from urllib.parse import parse_qs, urlparse


class Callback(BaseHTTPRequestHandler):
    def do_GET(self):
        problem = parse_qs(urlparse(self.path).query).get("error", [""])[0]
        self.send_response(400)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.end_headers()
        # ruleid: user-input-to-html
        self.wfile.write(f"<h1>Failed</h1><p>{problem}</p>".encode())


class Pages(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.show("nothing at " + self.path)

    def show(self, text):
        self.send_response(404)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        # ruleid: user-input-to-html
        self.wfile.write(text.encode())
