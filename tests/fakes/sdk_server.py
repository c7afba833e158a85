"""A server of tools written with the official SDK, careful or careless, as a program.

    python sdk_server.py FOLDER careful|careless [http]

With `http` it prints its address when it listens; else it speaks on its standard streams.
"""

from __future__ import annotations

import socket
import sqlite3
import subprocess
import sys
import urllib.request
from pathlib import Path

from mcp.server import MCPServer


def server(folder: Path, *, careful: bool) -> MCPServer:
    """Return the server; its documents lie in a folder."""
    made = MCPServer("documents")
    database = sqlite3.connect(":memory:", check_same_thread=False)
    database.execute("CREATE TABLE people (name TEXT, city TEXT)")
    database.execute("INSERT INTO people VALUES ('Lee', 'Oslo')")

    @made.tool()
    def read_document(path: str) -> str:
        """Return the text of a document."""
        place = folder / path
        if careful and not place.resolve().is_relative_to(folder.resolve()):
            return "there is no such document"
        return place.read_text() if place.is_file() else "there is no such document"

    @made.tool()
    def find_people(city: str) -> list[str]:
        """Return who lives in a city."""
        if careful:
            rows = database.execute("SELECT name FROM people WHERE city = ?", (city,))
        else:
            rows = database.execute(f"SELECT name FROM people WHERE city = '{city}'")
        return [row[0] for row in rows]

    @made.tool()
    def count_lines(pattern: str, limit: int = 5) -> str:
        """Count the lines of all documents that hold a word."""
        if careful:
            words = ["grep", "-c", "-e", pattern, "--", str(folder / "a.txt")]
            done = subprocess.run(words, capture_output=True, text=True, check=False)
        else:
            line = f"grep -c {pattern} {folder / 'a.txt'}"
            done = subprocess.run(line, shell=True, capture_output=True, text=True, check=False)
        return done.stdout[:1000]

    @made.tool()
    def fetch_page(url: str) -> str:
        """Return the text of a page."""
        if careful:
            return "only pages of example.com are fetched"
        with urllib.request.urlopen(url, timeout=5) as answer:
            return answer.read(1000).decode()

    return made


if __name__ == "__main__":
    made = server(Path(sys.argv[1]), careful=sys.argv[2] == "careful")
    if len(sys.argv) > 3:
        import uvicorn

        listening = socket.create_server(("127.0.0.1", 0))
        print(f"http://127.0.0.1:{listening.getsockname()[1]}/mcp", flush=True)
        application = made.streamable_http_app()
        uvicorn.Server(uvicorn.Config(application, log_level="error")).run(sockets=[listening])
    else:
        made.run("stdio")
