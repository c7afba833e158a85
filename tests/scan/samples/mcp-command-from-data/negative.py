from fastapi import FastAPI
from mcp import StdioServerParameters
from mcp.client.stdio import stdio_client

app = FastAPI()
ALLOWED_COMMANDS = {"notes-server", "files-server"}


@app.post("/servers")
async def add(name: str):
    # ok: mcp-command-from-data
    async with stdio_client(CONFIGURED_SERVERS[name]) as streams:
        return await list_tools(streams)


@app.post("/start")
async def start(command: str):
    if command not in ALLOWED_COMMANDS:
        raise ValueError(command)
    # ok: mcp-command-from-data
    return StdioServerParameters(command=command, args=[])


@app.post("/notes")
async def notes(question: str):
    # ok: mcp-command-from-data
    async with stdio_client(StdioServerParameters(command="notes-server", args=[])) as streams:
        return await ask(streams, question)


def connect(command: str, args: list[str]) -> StdioServerParameters:
    # ok: mcp-command-from-data
    return StdioServerParameters(command=command, args=args)
