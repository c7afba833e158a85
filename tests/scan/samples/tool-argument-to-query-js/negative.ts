import { tool } from "@langchain/core/tools";
import { McpServer } from "@modelcontextprotocol/sdk/server/mcp.js";
import Database from "better-sqlite3";
import { z } from "zod";

const db = new Database("shop.db");
const server = new McpServer({ name: "shop", version: "1" });

server.tool("orders", { customer: z.string() }, async ({ customer }) => {
  // ok: tool-argument-to-query-js
  const rows = db.prepare("SELECT * FROM orders WHERE customer = ?").all(customer);
  return { content: [{ type: "text", text: JSON.stringify(rows) }] };
});

export const search = tool(
  async ({ limit }) => {
    // ok: tool-argument-to-query-js
    return JSON.stringify(db.exec(`SELECT * FROM items LIMIT ${Number(limit)}`));
  },
  { name: "search", schema: z.object({ limit: z.number() }) },
);
