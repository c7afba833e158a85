import { McpServer } from "@modelcontextprotocol/sdk/server/mcp.js";
import { Server } from "@modelcontextprotocol/sdk/server/index.js";
import { CallToolRequestSchema } from "@modelcontextprotocol/sdk/types.js";
import { tool } from "ai";
import axios from "axios";
import { z } from "zod";

const server = new McpServer({ name: "web", version: "1" });

server.tool("page", { url: z.string() }, async ({ url }) => {
  // ruleid: tool-argument-to-url-js
  const page = await fetch(url);
  return { content: [{ type: "text", text: await page.text() }] };
});

server.registerTool("post", { inputSchema: {} }, async (args) => {
  // ruleid: tool-argument-to-url-js
  const answer = await axios.post(args.endpoint, args.body);
  return { content: [{ type: "text", text: String(answer.data) }] };
});

export const head = tool({
  inputSchema: z.object({ host: z.string() }),
  execute: async ({ host }) => {
    // ruleid: tool-argument-to-url-js
    return (await fetch(`https://${host}/robots.txt`)).status;
  },
});

const low = new Server({ name: "low", version: "1" }, {});
low.setRequestHandler(CallToolRequestSchema, async (request) => {
  const { name, arguments: args } = request.params;
  if (name === "fetch") {
    const validated = FetchSchema.parse(args);
    // ruleid: tool-argument-to-url-js
    return fetch(validated.url, { headers: validated.headers });
  }
});
