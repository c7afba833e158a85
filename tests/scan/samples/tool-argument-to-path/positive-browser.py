from mcp.server.fastmcp import FastMCP

mcp = FastMCP("browser")


@mcp.tool()
async def take_screenshot(filename: str) -> str:
    "Write a picture of the page."
    # ruleid: tool-argument-to-path
    await page.screenshot(path=filename, full_page=True)
    return filename


@mcp.tool()
async def upload(selector: str, paths: list[str]) -> str:
    "Give files to the page."
    # ruleid: tool-argument-to-path
    await page.set_input_files(selector, paths)
    return "ok"
