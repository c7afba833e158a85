import jinja2
import mako.template
from flask import render_template_string
from jinja2 import Environment
from langchain_core.tools import tool
from mcp.server.fastmcp import FastMCP

mcp = FastMCP("reports")
environment = Environment(autoescape=True)


@mcp.tool()
def greeting(template: str, name: str) -> str:
    """Write a greeting."""
    # ruleid: tool-argument-to-template
    return jinja2.Template(template).render(name=name)


@tool
def report(title: str, body: str) -> str:
    """Write a report."""
    # ruleid: tool-argument-to-template
    page = environment.from_string(f"<h1>{title}</h1>{body}")
    return page.render()


@mcp.tool()
def page(layout: str) -> str:
    """Show a page."""
    # ruleid: tool-argument-to-template
    return render_template_string("<main>" + layout + "</main>")


@mcp.tool()
def mail_text(form: str) -> str:
    """Fill in a form letter."""
    # ruleid: tool-argument-to-template
    return mako.template.Template(form).render()
