import express from "express";
import { randomUUID } from "node:crypto";
import { McpServer } from "@modelcontextprotocol/sdk/server/mcp.js";
import { SSEServerTransport } from "@modelcontextprotocol/sdk/server/sse.js";
import { StreamableHTTPServerTransport } from "@modelcontextprotocol/sdk/server/streamableHttp.js";

const app = express();
const server = new McpServer({ name: "files", version: "1" });

app.post("/mcp", async (req, res) => {
  // ruleid: mcp-http-without-host-check-js
  const transport = new StreamableHTTPServerTransport({ sessionIdGenerator: randomUUID });
  await server.connect(transport);
  await transport.handleRequest(req, res, req.body);
});

app.get("/sse", async (req, res) => {
  // ruleid: mcp-http-without-host-check-js
  const transport = new SSEServerTransport("/messages", res);
  await server.connect(transport);
});

app.post("/stateless", async (req, res) => {
  // ruleid: mcp-http-without-host-check-js
  const transport = new StreamableHTTPServerTransport({ sessionIdGenerator: undefined });
  await transport.handleRequest(req, res, req.body);
});

app.listen(3000);
