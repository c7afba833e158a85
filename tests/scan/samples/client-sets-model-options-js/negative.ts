import express from "express";
import OpenAI from "openai";
import { openai } from "@ai-sdk/openai";
import { streamText } from "ai";

const app = express();
const client = new OpenAI();
const MODELS = ["small", "large"];

app.post("/chat", async (req, res) => {
  const { messages } = req.body;
  // ok: client-sets-model-options-js
  res.json(await client.chat.completions.create({ model: "m", max_tokens: 500, messages }));
});

export async function POST(req: Request) {
  const { model, prompt } = await req.json();
  if (!MODELS.includes(model)) return new Response(null, { status: 400 });
  // ok: client-sets-model-options-js
  return streamText({ model: openai(model), prompt }).toTextStreamResponse();
}

app.post("/tokens", async (req, res) => {
  const max_tokens = Math.min(req.body.length, 500);
  // ok: client-sets-model-options-js
  res.json(await client.chat.completions.create({ model: "m", max_tokens, messages: [] }));
});

export async function ask(model: string, messages: Message[]) {
  // ok: client-sets-model-options-js
  return client.chat.completions.create({ model, messages });
}
