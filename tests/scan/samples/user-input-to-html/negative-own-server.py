import html
from http.server import BaseHTTPRequestHandler


class Pages(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(404)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        # ok: user-input-to-html
        self.wfile.write(f"<p>nothing at {html.escape(self.path)}</p>".encode())

    def do_POST(self):
        self.send_response(404)
        self.send_header("Content-Type", "text/plain")
        self.end_headers()
        # ok: user-input-to-html
        self.wfile.write(self.path.encode())


class Store:
    def save(self):
        # ok: user-input-to-html
        self.wfile.write(self.path)
