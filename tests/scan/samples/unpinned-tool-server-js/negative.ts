import { MCPServerStdio } from "@openai/agents";
import { StdioClientTransport } from "@modelcontextprotocol/sdk/client/stdio.js";

// ok: unpinned-tool-server-js
const github = new StdioClientTransport({
  command: "npx",
  args: ["-y", "@modelcontextprotocol/server-github@2025.4.8"],
});

// ok: unpinned-tool-server-js
const own = new StdioClientTransport({ command: "node", args: ["server.js"] });

// ok: unpinned-tool-server-js
const fetcher = { command: "uvx", args: ["mcp-server-fetch==2025.4.7"] };

// ok: unpinned-tool-server-js
const installed = new StdioClientTransport({ command: "npx", args: ["--no-install", "server-a"] });

// ok: unpinned-tool-server-js
const files = new MCPServerStdio({ fullCommand: "npx -y @a/server-filesystem@1.2.3 ./data" });
