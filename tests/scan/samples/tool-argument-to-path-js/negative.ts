import { McpServer } from "@modelcontextprotocol/sdk/server/mcp.js";
import { readFile, writeFile } from "node:fs/promises";
import path from "path";
import { z } from "zod";

const server = new McpServer({ name: "notes", version: "1" });
const NOTES = path.resolve("notes");

server.tool("read", { name: z.string() }, async ({ name }) => {
  const file = path.resolve(NOTES, name);
  if (!file.startsWith(NOTES + path.sep)) throw new Error("not a note");
  // ok: tool-argument-to-path-js
  const text = await readFile(file, "utf8");
  return { content: [{ type: "text", text }] };
});

server.registerTool("write", {}, async ({ text }) => {
  // ok: tool-argument-to-path-js
  await writeFile("notes/last.txt", text);
});

server.tool("read_in_one_of", { file: z.string() }, async ({ file }) => {
  const full = path.resolve(file);
  if (!ROOTS.some((root) => full.startsWith(root + path.sep))) throw new Error("outside");
  // ok: tool-argument-to-path-js
  return fs.readFileSync(full, "utf8");
});
