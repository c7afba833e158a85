from agents.mcp import MCPServerStdio
from langchain_mcp_adapters.client import MultiServerMCPClient
from mcp import StdioServerParameters

# ruleid: unpinned-tool-server
notes = StdioServerParameters(command="npx", args=["-y", "@example/notes-server", "/notes"])
# ruleid: unpinned-tool-server
files = StdioServerParameters(command="uvx", args=["files-server@latest"])
# ruleid: unpinned-tool-server
mail = StdioServerParameters(command="uvx", args=["mail-server"], env={"MAIL": "1"})
client = MultiServerMCPClient(
    {
        # ruleid: unpinned-tool-server
        "search": {"command": "npx", "args": ["-y", "search-server"], "transport": "stdio"},
    }
)
tools = MCPServerStdio(
    # ruleid: unpinned-tool-server
    params={"command": "npx", "args": ["search-server@latest"]},
)
