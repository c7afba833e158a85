import { query } from "@anthropic-ai/claude-agent-sdk";
import { Codex } from "@openai/codex-sdk";
import { shellTool } from "@openai/agents";
import { GraphCypherQAChain } from "@langchain/community/chains/graph_qa/cypher";
import { spawn } from "child_process";

// ruleid: safeguard-switched-off-js
for await (const message of query({ prompt: "Go", options: { permissionMode: "bypassPermissions" } })) {
  console.log(message);
}

// ruleid: safeguard-switched-off-js
const thread = new Codex().startThread({ sandboxMode: "danger-full-access" });

// ruleid: safeguard-switched-off-js
spawn("claude", ["-p", "Go", "--dangerously-skip-permissions"]);

// ruleid: safeguard-switched-off-js
const shell = shellTool({ shell: new LocalShell(), needsApproval: false });

// ruleid: safeguard-switched-off-js
const remove = tool({ name: "rm", needsApproval: false, execute: async ({ f }) => fs.rm(f) });

const chain = GraphCypherQAChain.fromLLM({
  llm,
  graph,
  // ruleid: safeguard-switched-off-js
  options: { allowDangerousRequests: true },
});

const response = await client.responses.create({
  model: "m",
  // ruleid: safeguard-switched-off-js
  tools: [{ type: "mcp", server_label: "a", server_url: URL, require_approval: "never" }],
});
