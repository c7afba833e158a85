import { tool } from "@langchain/core/tools";
import { McpServer } from "@modelcontextprotocol/sdk/server/mcp.js";
import Database from "better-sqlite3";
import { z } from "zod";

const db = new Database("shop.db");
const server = new McpServer({ name: "shop", version: "1" });

server.tool("orders", { customer: z.string() }, async ({ customer }) => {
  // ruleid: tool-argument-to-query-js
  const rows = db.prepare(`SELECT * FROM orders WHERE customer = '${customer}'`).all();
  return { content: [{ type: "text", text: JSON.stringify(rows) }] };
});

export const search = tool(
  async ({ where }) => {
    const sql = "SELECT * FROM items WHERE " + where;
    // ruleid: tool-argument-to-query-js
    return JSON.stringify(db.exec(sql));
  },
  { name: "search", schema: z.object({ where: z.string() }) },
);
