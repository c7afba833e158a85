import express from "express";
import { McpServer } from "@modelcontextprotocol/sdk/server/mcp.js";
import { z } from "zod";

const app = express();
const server = new McpServer({ name: "plugins", version: "1" });
const PLUGINS = new Set(["a", "b"]);

server.tool("plugin", { name: z.string() }, async ({ name }) => {
  if (!PLUGINS.has(name)) throw new Error("unknown plugin");
  // ok: llm-output-to-import-js
  return (await import(`./plugins/${name}.js`)).run();
});

app.post("/plugin", (req, res) => {
  // ok: llm-output-to-import-js
  const plugin = require("./plugins/only.js");
  res.json(plugin.run(req.body.text));
});

app.post("/table", (req, res) => {
  if (!(req.body.name in TABLE)) return res.sendStatus(404);
  // ok: llm-output-to-import-js
  res.json(TABLE[req.body.name].run());
});

export async function own(name: string) {
  // ok: llm-output-to-import-js
  return import(`./locale/${name}.js`);
}
