import { serve } from "@hono/node-server";
import { StdioClientTransport } from "@modelcontextprotocol/sdk/client/stdio.js";
import { Hono } from "hono";

const app = new Hono();

app.post("/connect", async (c) => {
  const { name } = await c.req.json();
  await client.connect(new StdioClientTransport(SERVERS[name]));
  return c.json({ ok: true });
});

// ruleid: tool-server-on-all-interfaces-js
serve({ fetch: app.fetch, port: 3001, hostname: "0.0.0.0" });
