"""A client of tools, by the official mcp package. Prints a line for each thing that was tried."""

import asyncio
import sys

from mcp import Client


def say(what, ok, found=""):
    print(("ok   " if ok else "FAIL ") + what, "" if ok else found, flush=True)


async def main():
    async with Client(f"{sys.argv[1]}/mcp") as client:
        found = await client.list_tools()
        say("mcp tools", [one.name for one in found.tools] == ["look", "sh"])

        async def text(name, **arguments):
            return (await client.call_tool(name, arguments)).content[0].text

        say("mcp call", await text("look", query="x") == "found x")
        said = await text("look", query="key")
        say("mcp secret removed", said == "the key is [AWS_KEY_ID removed].", said)
        for name, arguments in (("look", {"query": "bad"}), ("sh", {"cmd": "rm -rf /"})):
            try:
                said = await text(name, **arguments)
            except Exception as error:
                say(f"mcp {name} blocked", "MCPError" in type(error).__name__, repr(error))
            else:
                say(f"mcp {name} blocked", False, said)
        say("mcp goes on", await text("look", query="still") == "found still")


asyncio.run(main())
