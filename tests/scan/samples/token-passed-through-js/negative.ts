import { McpServer } from "@modelcontextprotocol/sdk/server/mcp.js";
import { StreamableHTTPServerTransport } from "@modelcontextprotocol/sdk/server/streamableHttp.js";

const server = new McpServer({ name: "orders", version: "1" });
const KEY = process.env.ORDERS_KEY;

app.post("/mcp", async (req, res) => {
  const token = await exchangeToken(req.headers.authorization);
  // ok: token-passed-through-js
  res.json(await fetch(ORDERS, { headers: { Authorization: `Bearer ${token}` } }));
});

app.post("/own", async (req, res) => {
  // ok: token-passed-through-js
  res.json(await fetch(ORDERS, { headers: { Authorization: `Bearer ${KEY}` } }));
});

app.post("/language", async (req, res) => {
  // ok: token-passed-through-js
  res.json(await fetch(ORDERS, { headers: { "Accept-Language": req.headers["accept-language"] } }));
});

app.post("/checked", async (req, res) => {
  if (req.headers.authorization !== EXPECTED) return res.sendStatus(401);
  // ok: token-passed-through-js
  res.json(await fetch(ORDERS, { headers: { Authorization: KEY } }));
});
