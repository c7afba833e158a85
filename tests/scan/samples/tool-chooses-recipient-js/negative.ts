import { McpServer } from "@modelcontextprotocol/sdk/server/mcp.js";
import nodemailer from "nodemailer";
import { z } from "zod";

const server = new McpServer({ name: "mail", version: "1" });
const transporter = nodemailer.createTransport(process.env.SMTP);
const COLLEAGUES = new Set(["b@example.org"]);

server.tool("mail", { text: z.string() }, async ({ text }) => {
  // ok: tool-chooses-recipient-js
  await transporter.sendMail({ from: "a@example.org", to: process.env.OWNER, text });
});

server.tool("colleague", { to: z.string(), text: z.string() }, async ({ to, text }) => {
  if (!COLLEAGUES.has(to)) throw new Error("not a colleague");
  // ok: tool-chooses-recipient-js
  await transporter.sendMail({ from: "a@example.org", to, text });
});

server.tool("fixed", { to: z.string() }, async ({ to }) => {
  // ok: tool-chooses-recipient-js
  await transporter.sendMail({ from: "a@example.org", to: "b@example.org", text: `for ${to}` });
});

export async function notATool(to: string) {
  // ok: tool-chooses-recipient-js
  await transporter.sendMail({ from: "a@example.org", to });
}
