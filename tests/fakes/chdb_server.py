"""ClickHouse's HTTP interface in front of chdb, for a Python that has chdb: PORT FOLDER.

Run by the tests as a program of its own; nothing of tavo is imported.
"""

from __future__ import annotations

import sys
from http.server import BaseHTTPRequestHandler, HTTPServer

from chdb import session  # type: ignore[import-not-found]


class Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        statement = self.rfile.read(int(self.headers["Content-Length"])).decode()
        try:
            data = bytes(DATABASE.query(statement, "JSONEachRow").bytes())
            status = 200
        except Exception as error:
            data, status = str(error).encode(), 500
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: object) -> None: ...


if __name__ == "__main__":
    DATABASE = session.Session(sys.argv[1])
    server = HTTPServer(("127.0.0.1", 0), Handler)
    print(server.server_address[1], flush=True)
    server.serve_forever()
