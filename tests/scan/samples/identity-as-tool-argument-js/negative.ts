import { McpServer } from "@modelcontextprotocol/sdk/server/mcp.js";
import { tool } from "ai";
import { z } from "zod";

const server = new McpServer({ name: "orders", version: "1" });

// ok: identity-as-tool-argument-js
server.tool("orders", {}, async (args, extra) => ordersOf(extra.authInfo.clientId));

// Whom to look up is what the tool is for
// ok: identity-as-tool-argument-js
server.tool("user", { userId: z.string() }, async ({ userId }) => show(userId));

export const profile = tool({
  // ok: identity-as-tool-argument-js
  inputSchema: z.object({ name: z.string() }),
  execute: async ({ name }) => load(name),
});

// ok: identity-as-tool-argument-js
const session = z.object({ tenantId: z.string() });
