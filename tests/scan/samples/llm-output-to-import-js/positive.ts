import express from "express";
import { McpServer } from "@modelcontextprotocol/sdk/server/mcp.js";
import { generateText } from "ai";
import { z } from "zod";

const app = express();
const server = new McpServer({ name: "plugins", version: "1" });

server.tool("plugin", { name: z.string() }, async ({ name }) => {
  // ruleid: llm-output-to-import-js
  const plugin = await import(name);
  return plugin.run();
});

app.post("/plugin", (req, res) => {
  // ruleid: llm-output-to-import-js
  const plugin = require(`./plugins/${req.body.name}/index.js`);
  res.json(plugin.run());
});

export async function choose() {
  const { text } = await generateText({ model, prompt: "Which module?" });
  // ruleid: llm-output-to-import-js
  return require(text);
}
