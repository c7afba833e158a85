import { generateText } from "ai";
import Anthropic from "@anthropic-ai/sdk";
import { execFile, execFileSync, execSync, spawn } from "node:child_process";

const client = new Anthropic();

export async function once(task: string): Promise<void> {
  const reply = await client.messages.create({ model: "m", max_tokens: 9, messages: [{ role: "user", content: task }] });
  const block = reply.content[0];
  // ok: llm-output-to-shell-js
  execFile("git", ["log", "--", block.text]);
}

export async function chosen(chain: Chain, task: string, commands: Map<string, string[]>) {
  const { content } = await chain.invoke(task);
  // ok: llm-output-to-shell-js
  spawn("git", commands.get("log") ?? []);
  const pattern = /a/;
  // ok: llm-output-to-shell-js
  return pattern.exec(content);
}
