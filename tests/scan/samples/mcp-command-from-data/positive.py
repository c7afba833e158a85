from agents.mcp import MCPServerStdio
from fastapi import FastAPI
from langchain_mcp_adapters.client import MultiServerMCPClient
from mcp import StdioServerParameters
from mcp.client.stdio import stdio_client

app = FastAPI()


@app.post("/servers")
async def add(entry: dict):
    # ruleid: mcp-command-from-data
    parameters = StdioServerParameters(command=entry["command"], args=["--stdio"])
    async with stdio_client(parameters) as streams:
        return await list_tools(streams)


@app.post("/servers/test")
async def test(command: str, arguments: list[str]):
    # ruleid: mcp-command-from-data
    async with MCPServerStdio(params={"command": command, "args": arguments}) as server:
        return await server.list_tools()


@app.put("/servers")
async def replace(servers: dict):
    # ruleid: mcp-command-from-data
    return await MultiServerMCPClient(servers).get_tools()


async def install(question: str) -> object:
    answer = client.responses.create(model=MODEL, input=question)
    # ruleid: mcp-command-from-data
    return StdioServerParameters(command="npx", args=["-y", answer.output_text])
