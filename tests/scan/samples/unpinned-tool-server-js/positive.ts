import { MCPServerStdio } from "@openai/agents";
import { StdioClientTransport } from "@modelcontextprotocol/sdk/client/stdio.js";
import { MCPClient } from "@mastra/mcp";

// ruleid: unpinned-tool-server-js
const github = new StdioClientTransport({
  command: "npx",
  args: ["-y", "@modelcontextprotocol/server-github"],
});

const mcp = new MCPClient({
  servers: {
    // ruleid: unpinned-tool-server-js
    fetch: { command: "uvx", args: ["mcp-server-fetch"] },
    // ruleid: unpinned-tool-server-js
    search: { command: "npx", args: ["--yes", "search-mcp@latest", "--key", KEY] },
  },
});

// ruleid: unpinned-tool-server-js
const files = new MCPServerStdio({ name: "files", fullCommand: "npx -y @a/server-filesystem ./data" });
