import { openai } from "@ai-sdk/openai";
import { generateText, tool } from "ai";
import express from "express";

const lookUp = tool({ description: "Looks up", inputSchema: schema, execute: run });
const result = await generateText({ model: openai("gpt-4.1"), system: "You are a kind helper.", tools: { lookUp } });
const server = new McpServer({ name: "ts-server", version: "1.0.0" });
server.registerTool("add_note", { description: "x" }, run);
