import os
import subprocess

from agents import function_tool
from crewai.tools import BaseTool
from langchain_core.tools import tool
from mcp.server.fastmcp import FastMCP
from mcp.server import Server

mcp = FastMCP("demo")
server = Server("demo")


@mcp.tool()
def ping(host: str, count: int = 1) -> str:
    """Ping a host."""
    # ruleid: tool-argument-to-command
    return subprocess.check_output(f"ping -c {count} {host}", shell=True, text=True)


@tool
def calculate(expression: str) -> str:
    """Calculate an expression."""
    # ruleid: tool-argument-to-command
    return str(eval(expression))


@tool("run", return_direct=True)
def run_program(program: str, arguments: list[str]) -> str:
    """Run a program."""
    # ruleid: tool-argument-to-command
    return subprocess.run([program, *arguments], capture_output=True, text=True).stdout


@function_tool
async def script(code: str) -> None:
    """Run a script."""
    lines = [line.rstrip() for line in code.splitlines()]
    # ruleid: tool-argument-to-command
    exec("\n".join(lines))


@server.call_tool()
async def call_tool(name: str, arguments: dict) -> list:
    if name == "shell":
        # ruleid: tool-argument-to-command
        os.system(arguments["command"])
    return []


class ConvertTool(BaseTool):
    name: str = "convert"

    def _run(self, source: str, target: str = "out.png") -> str:
        command = "convert " + source
        command += " " + target
        # ruleid: tool-argument-to-command
        os.popen(command)
        return target


@function_tool
def find_file(folder: str, options: str = "") -> str:
    command = f"find {folder} {options}"
    # ruleid: tool-argument-to-command
    return run_command(command, timeout=10)
