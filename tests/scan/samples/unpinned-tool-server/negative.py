from langchain_mcp_adapters.client import MultiServerMCPClient
from mcp import StdioServerParameters

# ok: unpinned-tool-server
notes = StdioServerParameters(command="npx", args=["-y", "@example/notes-server@1.4.2", "/notes"])
# ok: unpinned-tool-server
files = StdioServerParameters(command="uvx", args=["files-server==0.3.1"])
# ok: unpinned-tool-server
mail = StdioServerParameters(command="python", args=["mail_server.py"])
# ok: unpinned-tool-server
local = StdioServerParameters(command="uvx", args=["--from", "./server", "notes"])
client = MultiServerMCPClient(
    {
        # ok: unpinned-tool-server
        "search": {"command": "npx", "args": ["-y", "search-server@2.0.1"], "transport": "stdio"},
    }
)
# ok: unpinned-tool-server
run(["npx", "prettier"])
