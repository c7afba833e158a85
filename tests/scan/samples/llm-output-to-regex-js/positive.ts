import { McpServer } from "@modelcontextprotocol/sdk/server/mcp.js";
import { generateText } from "ai";
import { z } from "zod";

const server = new McpServer({ name: "search", version: "1" });

server.tool("search", { pattern: z.string() }, async ({ pattern }) => {
  // ruleid: llm-output-to-regex-js
  const form = new RegExp(pattern, "gi");
  return { content: lines.filter((line) => form.test(line)) };
});

server.registerTool("grep", { inputSchema: {} }, async (args) => {
  // ruleid: llm-output-to-regex-js
  return { content: text.match(RegExp(`^${args.word}`, "m")) };
});

export async function filter() {
  const { text } = await generateText({ model, prompt: "Write a regular expression." });
  // ruleid: llm-output-to-regex-js
  return new RegExp(text);
}
