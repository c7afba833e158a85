import express from "express";
import OpenAI from "openai";
import { openai } from "@ai-sdk/openai";
import { streamText } from "ai";

const app = express();
const client = new OpenAI();

app.post("/chat", async (req, res) => {
  const { model, messages } = req.body;
  // ruleid: client-sets-model-options-js
  res.json(await client.chat.completions.create({ model, messages }));
});

export async function POST(req: Request) {
  const { model, prompt } = await req.json();
  // ruleid: client-sets-model-options-js
  return streamText({ model: openai(model), prompt }).toTextStreamResponse();
}

app.post("/tokens", async (req, res) => {
  res.json(
    await client.responses.create({
      model: "m",
      // ruleid: client-sets-model-options-js
      max_output_tokens: Number(req.body.length),
      input: "hi",
    }),
  );
});

app.post("/all", async (req, res) => {
  // ruleid: client-sets-model-options-js
  res.json(await client.chat.completions.create({ ...req.body, stream: false }));
});
