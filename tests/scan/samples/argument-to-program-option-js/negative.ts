import { McpServer } from "@modelcontextprotocol/sdk/server/mcp.js";
import { execFile, execFileSync, spawn } from "child_process";
import simpleGit from "simple-git";
import { z } from "zod";

const server = new McpServer({ name: "git", version: "1" });
const git = simpleGit();

server.tool("log", { branch: z.string() }, async ({ branch }) => {
  // ok: argument-to-program-option-js
  return execFileSync("git", ["log", "--end-of-options", branch]);
});

server.tool("checked", { branch: z.string() }, async ({ branch }) => {
  if (branch.startsWith("-")) throw new Error("not a branch");
  // ok: argument-to-program-option-js
  return execFileSync("git", ["log", branch]);
});

server.registerTool("file", { inputSchema: {} }, async ({ file }) => {
  // ok: argument-to-program-option-js
  return execFileSync("git", ["log", "--", file]);
});

server.tool("message", { message: z.string() }, async ({ message }) => {
  // ok: argument-to-program-option-js
  return execFileSync("git", ["commit", "-m", message]);
});

server.tool("format", { form: z.string() }, async ({ form }) => {
  // ok: argument-to-program-option-js
  return execFileSync("git", ["log", `--format=${form}`]);
});

// What has no options that do harm
export function list(folder: string) {
  // ok: argument-to-program-option-js
  return execFileSync("xcrun", ["simctl", folder]);
}

server.tool("status", {}, async () => {
  // ok: argument-to-program-option-js
  return git.raw("status", "--short");
});
