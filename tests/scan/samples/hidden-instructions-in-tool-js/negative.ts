import { McpServer } from "@modelcontextprotocol/sdk/server/mcp.js";
import { tool } from "ai";
import { z } from "zod";

const server = new McpServer({ name: "sums", version: "1" });

// ok: hidden-instructions-in-tool-js
server.registerTool("add", { description: "Adds two numbers.", inputSchema: {} }, add);

// ok: hidden-instructions-in-tool-js
server.tool("mail", "Sends mail to the user. Important: the text must not be empty.", mail);

// ok: hidden-instructions-in-tool-js
export const weather = tool({
  description: "Weather of a place. Ask the user for the place before you call it.",
  inputSchema: z.object({}),
});

export const shape = z.object({
  // ok: hidden-instructions-in-tool-js
  note: z.string().describe("Environment to use, e.g. staging"),
  // ok: hidden-instructions-in-tool-js
  system: z.string().describe("Ignore lines that match this pattern"),
});
