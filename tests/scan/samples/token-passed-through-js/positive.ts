import { McpServer } from "@modelcontextprotocol/sdk/server/mcp.js";
import { StreamableHTTPServerTransport } from "@modelcontextprotocol/sdk/server/streamableHttp.js";
import axios from "axios";

const server = new McpServer({ name: "orders", version: "1" });

app.post("/mcp", async (req, res) => {
  // ruleid: token-passed-through-js
  const orders = await fetch(ORDERS, { headers: { Authorization: req.headers.authorization } });
  res.json(await orders.json());
});

server.registerTool("orders", { inputSchema: {} }, async (args, extra) => {
  const token = extra.authInfo.token;
  // ruleid: token-passed-through-js
  const answer = await axios.get(ORDERS, { headers: { Authorization: `Bearer ${token}` } });
  return { content: [{ type: "text", text: answer.data }] };
});

app.post("/other", async (req, res) => {
  const headers = { "Content-Type": "application/json", Authorization: req.header("Authorization") };
  // ruleid: token-passed-through-js
  res.json(await fetch(ORDERS, { method: "POST", headers }));
});
