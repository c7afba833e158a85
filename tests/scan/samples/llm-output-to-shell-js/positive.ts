import Anthropic from "@anthropic-ai/sdk";
import { exec, spawn } from "node:child_process";
import { promisify } from "node:util";
import * as cp from "child_process";

const client = new Anthropic();
const run = promisify(exec);

export async function once(task: string): Promise<void> {
  const reply = await client.messages.create({ model: "m", max_tokens: 9, messages: [{ role: "user", content: task }] });
  const block = reply.content[0];
  if (block.type === "text") {
    // ruleid: llm-output-to-shell-js
    exec(block.text, (error, out) => console.log(out));
    // ruleid: llm-output-to-shell-js
    await run(`cd /srv && ${block.text}`);
  }
}

export async function withShell(chain: Chain, task: string) {
  const { content } = await chain.invoke(task);
  // ruleid: llm-output-to-shell-js
  cp.spawnSync("git", ["log", content as string], { shell: true });
  // ruleid: llm-output-to-shell-js
  spawn("bash", ["-c", content!]);
}
