import { McpServer } from "@modelcontextprotocol/sdk/server/mcp.js";
import { execFile, execFileSync, spawn } from "child_process";
import simpleGit from "simple-git";
import { z } from "zod";

const server = new McpServer({ name: "git", version: "1" });
const git = simpleGit();

server.tool("log", { branch: z.string() }, async ({ branch }) => {
  // ruleid: argument-to-program-option-js
  return execFileSync("git", ["log", branch]);
});

server.registerTool("clone", { inputSchema: {} }, async ({ url, folder }) => {
  // ruleid: argument-to-program-option-js
  execFile("git", ["clone", "--depth", "1", url], done);
});

export function download(address: string) {
  // ruleid: argument-to-program-option-js
  return spawn("/usr/bin/curl", ["--silent", address]);
}

server.tool("show", { ref: z.string() }, async ({ ref }) => {
  // ruleid: argument-to-program-option-js
  return git.raw("show", ref);
});

server.tool("grep", { word: z.string() }, async (args) => {
  // ruleid: argument-to-program-option-js
  return execFileSync("find", [`${args.folder}`, "-type", "f"]);
});
