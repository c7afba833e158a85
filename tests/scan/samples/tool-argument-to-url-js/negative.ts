import { McpServer } from "@modelcontextprotocol/sdk/server/mcp.js";
import { tool } from "ai";
import { z } from "zod";

const server = new McpServer({ name: "web", version: "1" });
const HOSTS = new Set(["example.org"]);
const API = "https://api.example.org";

server.tool("page", { url: z.string() }, async ({ url }) => {
  if (!HOSTS.has(new URL(url).hostname)) throw new Error("unknown host");
  // ok: tool-argument-to-url-js
  return fetch(url);
});

server.tool("parsed", { url: z.string() }, async ({ url }) => {
  const parsed = new URL(url);
  if (!HOSTS.has(parsed.hostname)) throw new Error("unknown host");
  // ok: tool-argument-to-url-js
  return fetch(url);
});

server.tool("built", { query: z.string() }, async ({ query }) => {
  // ok: tool-argument-to-url-js
  return fetch(client.buildUrl("search", { q: query }));
});

server.tool("user", { id: z.string() }, async ({ id }) => {
  // ok: tool-argument-to-url-js
  return fetch(`https://api.example.org/users/${id}`);
});

server.tool("order", { id: z.string() }, async ({ id }) => {
  const url = `${API}/orders/${id}`;
  // ok: tool-argument-to-url-js
  return fetch(url);
});

server.tool("search", { query: z.string() }, async ({ query }) => {
  // ok: tool-argument-to-url-js
  return fetch("https://api.example.org/search?q=" + encodeURIComponent(query));
});

server.tool("sent", { text: z.string() }, async ({ text }) => {
  // ok: tool-argument-to-url-js
  return axios.request({ url: API, method: "POST", data: { text } });
});

server.tool("post", { text: z.string() }, async ({ text }) => {
  // ok: tool-argument-to-url-js
  return fetch(API, { method: "POST", body: JSON.stringify({ text }) });
});

export const guarded = tool({
  inputSchema: z.object({ url: z.string() }),
  execute: async ({ url }) => {
    await assertPublicUrl(url);
    // ok: tool-argument-to-url-js
    return fetch(url);
  },
});
