"""A digits classifier of scikit-learn behind HTTP, for test_art_evasion.py; needs its wheels."""

from __future__ import annotations

import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split

images, numbers = load_digits(return_X_y=True)
train, test, train_numbers, _ = train_test_split(images, numbers, random_state=0)
model = LogisticRegression(max_iter=2000).fit(train, train_numbers)
np.savetxt(Path(sys.argv[1]) / "digits.csv", test[:100], fmt="%g", delimiter=",")


class Handler(BaseHTTPRequestHandler):
    """Answers {"instances": [[…]]} with {"predictions": […]}."""

    protocol_version = "HTTP/1.1"
    wbufsize = -1  # head and body in one packet

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
        predictions = model.predict(np.array(asked["instances"])).tolist()
        body = json.dumps({"predictions": predictions}).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
print(json.dumps({"port": server.server_port}), flush=True)
server.serve_forever()
