import express from "express";
import { StdioClientTransport } from "@modelcontextprotocol/sdk/client/stdio.js";
import { MCPServerStdio } from "@openai/agents";

const app = express();

app.get("/connect", async (req, res) => {
  const command = req.query.command as string;
  const args = parse(req.query.args as string);
  // ruleid: mcp-command-from-data-js
  const transport = new StdioClientTransport({ command, args });
  await transport.start();
});

export async function POST(request: Request) {
  const { server } = await request.json();
  // ruleid: mcp-command-from-data-js
  return new MCPServerStdio({ name: "a", fullCommand: server.command });
}

export async function fromRegistry(name: string) {
  const response = await fetch(REGISTRY + name);
  const entry = await response.json();
  // ruleid: mcp-command-from-data-js
  return new StdioClientTransport({ command: entry.command, args: ["--stdio"] });
}
