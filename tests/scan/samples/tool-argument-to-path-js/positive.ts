import { McpServer } from "@modelcontextprotocol/sdk/server/mcp.js";
import { readFile } from "node:fs/promises";
import * as fs from "fs";
import path from "path";
import { z } from "zod";

const server = new McpServer({ name: "notes", version: "1" });

server.tool("read", { name: z.string() }, async ({ name }) => {
  // ruleid: tool-argument-to-path-js
  const text = await readFile(path.join("notes", name), "utf8");
  return { content: [{ type: "text", text }] };
});

server.registerTool("write", {}, async ({ name, text }) => {
  // ruleid: tool-argument-to-path-js
  fs.writeFileSync(`notes/${name}`, text);
});
