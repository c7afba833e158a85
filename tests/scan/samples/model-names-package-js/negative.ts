import { execFileSync, spawn } from "node:child_process";
import { McpServer } from "@modelcontextprotocol/sdk/server/mcp.js";
import { z } from "zod";

const server = new McpServer({ name: "packages", version: "1" });
const PACKAGES = new Set(["a@1.0.0"]);

server.tool("install", { name: z.string() }, async ({ name }) => {
  if (!PACKAGES.has(name)) throw new Error("not on the list");
  // ok: model-names-package-js
  execFileSync("npm", ["install", name]);
});

server.tool("all", {}, async () => {
  // ok: model-names-package-js
  execFileSync("npm", ["install"]);
});

server.tool("test", { name: z.string() }, async ({ name }) => {
  // ok: model-names-package-js
  execFileSync("npm", ["test", "--", name]);
});

export function own(name: string) {
  // ok: model-names-package-js
  return spawn("npm", ["install", name]);
}
