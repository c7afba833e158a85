import express from "express";
import { StdioClientTransport } from "@modelcontextprotocol/sdk/client/stdio.js";

const app = express();
const SERVERS = new Map([["files", { command: "mcp-files", args: [] }]]);

app.get("/connect", async (req, res) => {
  // ok: mcp-command-from-data-js
  await client.connect(new StdioClientTransport(SERVERS.get(req.query.name)));
});

app.get("/checked", async (req, res) => {
  const command = req.query.command;
  if (!ALLOWED.includes(command)) return res.sendStatus(400);
  // ok: mcp-command-from-data-js
  await client.connect(new StdioClientTransport({ command, args: [] }));
});

app.get("/fixed", async (req, res) => {
  // ok: mcp-command-from-data-js
  await client.connect(new StdioClientTransport({ command: "mcp-files", args: ["--read-only"] }));
});

export function fromSettings(settings: Settings) {
  // ok: mcp-command-from-data-js
  return new StdioClientTransport({ command: settings.command, args: settings.args });
}
