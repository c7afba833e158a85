import { McpServer } from "@modelcontextprotocol/sdk/server/mcp.js";
import { execFileSync, execSync } from "child_process";
import { tool } from "ai";
import { z } from "zod";

const server = new McpServer({ name: "git", version: "1" });
const HOSTS = new Set(["a", "b"]);

server.tool("log", { branch: z.string() }, async ({ branch }) => {
  // ok: tool-argument-to-command-js
  return { content: [{ type: "text", text: String(execFileSync("git", ["log", "--", branch])) }] };
});

export const ping = tool({
  inputSchema: z.object({ host: z.string(), count: z.number() }),
  execute: async ({ host, count }) => {
    if (!HOSTS.has(host)) throw new Error("unknown host");
    // ok: tool-argument-to-command-js
    return execSync(`ping -c ${Number(count)} ${host}`).toString();
  },
});

export function notATool(host: string) {
  // ok: tool-argument-to-command-js
  return execSync("ping -c 1 " + host).toString();
}
