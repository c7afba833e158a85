import { execFileSync, spawn } from "node:child_process";
import { McpServer } from "@modelcontextprotocol/sdk/server/mcp.js";
import { generateObject, tool } from "ai";
import { z } from "zod";

const server = new McpServer({ name: "packages", version: "1" });

server.tool("install", { name: z.string() }, async ({ name }) => {
  // ruleid: model-names-package-js
  execFileSync("npm", ["install", "--save", name]);
});

export const addPackages = tool({
  inputSchema: z.object({ packages: z.array(z.string()) }),
  execute: async ({ packages }) => {
    // ruleid: model-names-package-js
    spawn("pip", ["install", ...packages]);
  },
});

export async function needed() {
  const { object } = await generateObject({ model, schema, prompt: "What is needed?" });
  // ruleid: model-names-package-js
  spawn("npx", ["-y", object.name]);
}
