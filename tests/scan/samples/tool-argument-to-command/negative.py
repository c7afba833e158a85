import ast
import subprocess

from langchain_core.tools import tool
from mcp.server.fastmcp import FastMCP

mcp = FastMCP("demo")
ALLOWED_HOSTS = {"example.org"}
PROGRAM = ["uptime"]


@mcp.tool()
def ping(host: str) -> str:
    """Ping a host."""
    if host not in ALLOWED_HOSTS:
        raise ValueError(host)
    # ok: tool-argument-to-command
    return subprocess.check_output(["ping", "-c", "1", host], text=True)


@mcp.tool()
def sleep(seconds: int) -> str:
    """Sleep."""
    # ok: tool-argument-to-command
    return subprocess.check_output(["sleep", str(seconds)], text=True)


@tool
def calculate(expression: str) -> str:
    """Read a literal."""
    # ok: tool-argument-to-command
    return str(ast.literal_eval(expression))


@tool
def uptime(question: str) -> str:
    """Tell how long the machine is up."""
    # ok: tool-argument-to-command
    return subprocess.run(PROGRAM, capture_output=True, text=True).stdout


def not_a_tool(command: str) -> None:
    # ok: tool-argument-to-command
    subprocess.run(command.split(), check=True)


@mcp.tool()
def find_file(folder: str) -> str:
    # ok: tool-argument-to-command
    return run_command(["find", folder])


@mcp.tool()
def list_folder(names: list[str]) -> str:
    if not all(letter in "abcdefghijklmnopqrstuvwxyz" for letter in names[0]):
        raise ValueError(names)
    import shlex

    # ok: tool-argument-to-command
    return subprocess.run(shlex.join(["ls", *names]), shell=True)
