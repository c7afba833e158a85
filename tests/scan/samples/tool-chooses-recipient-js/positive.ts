import { McpServer } from "@modelcontextprotocol/sdk/server/mcp.js";
import { tool } from "ai";
import { Resend } from "resend";
import nodemailer from "nodemailer";
import { z } from "zod";

const server = new McpServer({ name: "mail", version: "1" });
const transporter = nodemailer.createTransport(process.env.SMTP);
const resend = new Resend(process.env.RESEND);

server.tool("mail", { to: z.string(), text: z.string() }, async ({ to, text }) => {
  // ruleid: tool-chooses-recipient-js
  await transporter.sendMail({ from: "a@example.org", to, text });
});

export const sendEmail = tool({
  inputSchema: z.object({ recipient: z.string(), body: z.string() }),
  execute: async ({ recipient, body }) => {
    // ruleid: tool-chooses-recipient-js
    return resend.emails.send({ from: "a@example.org", to: [recipient], text: body, subject: "A" });
  },
});

server.registerTool("sms", { inputSchema: {} }, async (args) => {
  // ruleid: tool-chooses-recipient-js
  await twilio.messages.create({ body: args.text, to: args.number, from: NUMBER });
});
