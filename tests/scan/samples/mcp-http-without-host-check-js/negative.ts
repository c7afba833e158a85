import express from "express";
import { randomUUID } from "node:crypto";
import { McpServer } from "@modelcontextprotocol/sdk/server/mcp.js";
import { StreamableHTTPServerTransport } from "@modelcontextprotocol/sdk/server/streamableHttp.js";

const app = express();
const server = new McpServer({ name: "files", version: "1" });

app.post("/mcp", authMiddleware, async (req, res) => {
  // ok: mcp-http-without-host-check-js
  const transport = new StreamableHTTPServerTransport({ sessionIdGenerator: randomUUID });
  await server.connect(transport);
  await transport.handleRequest(req, res, req.body);
});

app.post("/other", async (req, res) => {
  // ok: mcp-http-without-host-check-js
  const transport = new StreamableHTTPServerTransport({
    sessionIdGenerator: randomUUID,
    enableDnsRebindingProtection: true,
    allowedHosts: ["127.0.0.1:3000"],
  });
  await server.connect(transport);
});

// ok: mcp-http-without-host-check-js
await server.connect(new StdioServerTransport());
// ok: mcp-http-without-host-check-js
const client = new StreamableHTTPClientTransport(new URL("https://example.org/mcp"));

app.listen(3000, "127.0.0.1");
