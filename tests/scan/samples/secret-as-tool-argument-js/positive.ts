import { McpServer } from "@modelcontextprotocol/sdk/server/mcp.js";
import { tool } from "ai";
import { z } from "zod";

const server = new McpServer({ name: "orders", version: "1" });

// ruleid: secret-as-tool-argument-js
server.tool("orders", { apiKey: z.string(), id: z.string() }, async (args) => orders(args));

server.registerTool(
  "login",
  {
    description: "Logs in",
    inputSchema: {
      user: z.string(),
      // ruleid: secret-as-tool-argument-js
      password: z.string().describe("The password"),
    },
  },
  async (args) => login(args),
);

export const query = tool({
  // ruleid: secret-as-tool-argument-js
  inputSchema: z.object({ connectionString: z.string(), sql: z.string() }),
  execute: async (args) => run(args),
});
