import jinja2
from jinja2.sandbox import SandboxedEnvironment
from langchain_core.tools import tool
from mcp.server.fastmcp import FastMCP

mcp = FastMCP("reports")
GREETINGS = jinja2.Environment(loader=jinja2.FileSystemLoader("templates"))
sandbox = SandboxedEnvironment()


@mcp.tool()
def greeting(style: str, name: str) -> str:
    """Write a greeting."""
    # ok: tool-argument-to-template
    return GREETINGS.get_template("greeting.txt").render(style=style, name=name)


@tool
def report(title: str) -> str:
    """Write a report."""
    # ok: tool-argument-to-template
    return jinja2.Template("<h1>{{ title }}</h1>").render(title=title)


@mcp.tool()
def form_letter(text: str) -> str:
    """Fill in a form letter."""
    # ok: tool-argument-to-template
    return SandboxedEnvironment().from_string(text).render()


def render(text: str) -> str:
    # ok: tool-argument-to-template
    return jinja2.Template(text).render()
