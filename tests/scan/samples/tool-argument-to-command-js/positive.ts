import { McpServer } from "@modelcontextprotocol/sdk/server/mcp.js";
import { Server } from "@modelcontextprotocol/sdk/server/index.js";
import { CallToolRequestSchema } from "@modelcontextprotocol/sdk/types.js";
import { exec, execSync } from "child_process";
import { DynamicTool, tool as langchainTool } from "@langchain/core/tools";
import { tool } from "ai";
import { z } from "zod";

const server = new McpServer({ name: "git", version: "1" });

server.tool("log", { branch: z.string() }, async ({ branch }) => {
  // ruleid: tool-argument-to-command-js
  return { content: [{ type: "text", text: String(execSync(`git log ${branch}`)) }] };
});

server.registerTool("show", { inputSchema: {} }, async (args) => {
  const command = "git show " + args.commit;
  // ruleid: tool-argument-to-command-js
  exec(command);
});

const low = new Server({ name: "low", version: "1" }, {});
low.setRequestHandler(CallToolRequestSchema, async (request) => {
  const { command } = request.params.arguments as { command: string };
  // ruleid: tool-argument-to-command-js
  return { content: [{ type: "text", text: execSync(command).toString() }] };
});

export const calculator = new DynamicTool({
  name: "calculator",
  description: "calculates",
  // ruleid: tool-argument-to-command-js
  func: async (input: string) => String(eval(input)),
});

export const ping = tool({
  description: "ping a host",
  inputSchema: z.object({ host: z.string() }),
  execute: async ({ host }) => {
    // ruleid: tool-argument-to-command-js
    return execSync("ping -c 1 " + host).toString();
  },
});

export const method = tool({
  inputSchema: z.object({ host: z.string() }),
  async execute({ host }) {
    // ruleid: tool-argument-to-command-js
    return execSync("ping -c 1 " + host).toString();
  },
});

server.tool("typed", {}, async ({ host, count = 1 }: { host: string; count?: number }) => {
  // ruleid: tool-argument-to-command-js
  exec(`ping -c ${count} localhost`);
  // ruleid: tool-argument-to-command-js
  exec(`ping ${host}`);
});
