import { query } from "@anthropic-ai/claude-agent-sdk";
import { Codex } from "@openai/codex-sdk";
import { shellTool, tool } from "@openai/agents";

// ok: safeguard-switched-off-js
for await (const message of query({ prompt: "Go", options: { permissionMode: "default" } })) {
  console.log(message);
}

// ok: safeguard-switched-off-js
const thread = new Codex().startThread({ sandboxMode: "workspace-write" });

// ok: safeguard-switched-off-js
const shell = shellTool({ shell: new LocalShell(), needsApproval: true });

// ok: safeguard-switched-off-js
const weather = tool({ name: "weather", needsApproval: false, execute: async () => "sun" });

const response = await client.responses.create({
  model: "m",
  // ok: safeguard-switched-off-js
  tools: [{ type: "mcp", server_url: URL, require_approval: "never", allowed_tools: ["search"] }],
});
