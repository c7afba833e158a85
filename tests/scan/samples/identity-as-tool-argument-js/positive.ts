import { McpServer } from "@modelcontextprotocol/sdk/server/mcp.js";
import { tool } from "ai";
import { z } from "zod";

const server = new McpServer({ name: "orders", version: "1" });

// ruleid: identity-as-tool-argument-js
server.tool("orders", { tenantId: z.string() }, async ({ tenantId }) => ordersOf(tenantId));

server.registerTool(
  "refund",
  // ruleid: identity-as-tool-argument-js
  { inputSchema: { order: z.string(), isAdmin: z.boolean() } },
  async (args) => refund(args),
);

export const profile = tool({
  // ruleid: identity-as-tool-argument-js
  inputSchema: z.object({ currentUserId: z.string().describe("Who asks") }),
  execute: async ({ currentUserId }) => load(currentUserId),
});
