import express from "express";
import OpenAI from "openai";
import Anthropic from "@anthropic-ai/sdk";
import { generateText, streamText } from "ai";
import { SystemMessage } from "@langchain/core/messages";

const app = express();

app.post("/chat", async (req, res) => {
  // ruleid: user-input-in-system-prompt-js
  const { text } = await generateText({ model, system: `You are ${req.body.persona}.`, prompt });
  res.send(text);
});

export async function POST(req: Request) {
  const { language, question } = await req.json();
  return new OpenAI().chat.completions.create({
    model: "m",
    messages: [
      // ruleid: user-input-in-system-prompt-js
      { role: "system", content: "Answer in " + language },
      { role: "user", content: question },
    ],
  });
}

app.post("/claude", async (req, res) => {
  // ruleid: user-input-in-system-prompt-js
  res.json(await new Anthropic().messages.create({ model: "m", system: req.body.system, messages }));
});

app.post("/chain", async (req, res) => {
  // ruleid: user-input-in-system-prompt-js
  res.json(await llm.invoke([new SystemMessage(`Help ${req.query.name}`)]));
});
