import { McpServer } from "@modelcontextprotocol/sdk/server/mcp.js";
import { tool } from "ai";
import { z } from "zod";

const server = new McpServer({ name: "orders", version: "1" });

// ok: secret-as-tool-argument-js
server.tool("orders", { id: z.string() }, async (args) => orders(args, process.env.ORDERS_KEY));

// ok: secret-as-tool-argument-js
server.registerTool("count", { inputSchema: { maxTokens: z.number() } }, async (args) => count(args));

export const query = tool({
  // ok: secret-as-tool-argument-js
  inputSchema: z.object({ sql: z.string(), tokenCount: z.number() }),
  execute: async (args) => run(args, process.env.CONNECTION_STRING),
});

// ok: secret-as-tool-argument-js
const settings = z.object({ apiKey: z.string(), url: z.string() });
