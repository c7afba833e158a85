"""A model behind a real HTTP server on loopback: OpenAI's chat API, and an API of its own."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Answer = Callable[[str], str]


class Model:
    """A running server; `asked` are the requests as they came: path, headers, body."""

    def __init__(self, answer: Answer, status: int = 200) -> None:
        self.asked: list[tuple[str, dict[str, str], Any]] = []
        model = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                model.asked.append((self.path, dict(self.headers), body))
                if self.path.endswith("/chat/completions"):
                    said = answer(body["messages"][-1]["content"])
                    value: Any = {
                        "choices": [{"message": {"role": "assistant", "content": said},
                                     "finish_reason": "stop"}],
                        "usage": {"prompt_tokens": 7, "completion_tokens": 5},
                    }  # fmt: skip
                else:
                    value = {"output": [{"text": answer(body["input"])}]}
                data = json.dumps(value).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *_: object) -> None: ...

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"


@contextmanager
def serving(answer: Answer, status: int = 200) -> Iterator[Model]:
    """Serve a model that answers the last message with `answer`."""
    model = Model(answer, status)
    thread = threading.Thread(target=model.server.serve_forever, daemon=True)
    thread.start()
    try:
        yield model
    finally:
        model.server.shutdown()
        model.server.server_close()
        thread.join()
