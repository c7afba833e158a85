import os

from mcp.server.fastmcp import FastMCP

mcp = FastMCP("browser")


@mcp.tool()
async def take_screenshot(filename: str) -> str:
    "Write a picture of the page."
    # ok: tool-argument-to-path
    await page.screenshot(path=os.path.join(FOLDER, os.path.basename(filename)))
    return filename
