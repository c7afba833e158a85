import { McpServer } from "@modelcontextprotocol/sdk/server/mcp.js";
import RE2 from "re2";
import { z } from "zod";

const server = new McpServer({ name: "search", version: "1" });

server.tool("search", { pattern: z.string() }, async ({ pattern }) => {
  // ok: llm-output-to-regex-js
  return { content: lines.filter((line) => new RE2(pattern).test(line)) };
});

server.tool("word", { word: z.string() }, async ({ word }) => {
  // ok: llm-output-to-regex-js
  const form = new RegExp(word.replace(/[.*+?^${}()|[\]\\]/g, "\\$&"), "gi");
  return { content: lines.filter((line) => form.test(line)) };
});

server.tool("escaped", { word: z.string() }, async ({ word }) => {
  // ok: llm-output-to-regex-js
  return { content: text.match(new RegExp(escapeRegExp(word))) };
});

server.tool("plain", { word: z.string() }, async ({ word }) => {
  // ok: llm-output-to-regex-js
  return { content: lines.filter((line) => line.includes(word)) };
});

export function notATool(word: string) {
  // ok: llm-output-to-regex-js
  return new RegExp(word);
}
