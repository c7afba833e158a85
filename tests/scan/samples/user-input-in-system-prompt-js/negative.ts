import express from "express";
import OpenAI from "openai";
import { generateText } from "ai";

const app = express();
const SYSTEM = "You are a helper.";
const LANGUAGES = ["de", "en"];

app.post("/chat", async (req, res) => {
  // ok: user-input-in-system-prompt-js
  const { text } = await generateText({ model, system: SYSTEM, prompt: req.body.question });
  res.send(text);
});

export async function POST(req: Request) {
  const { question } = await req.json();
  return new OpenAI().chat.completions.create({
    model: "m",
    messages: [
      // ok: user-input-in-system-prompt-js
      { role: "system", content: SYSTEM },
      // ok: user-input-in-system-prompt-js
      { role: "user", content: question },
    ],
  });
}

app.post("/language", async (req, res) => {
  const language = req.body.language;
  if (!LANGUAGES.includes(language)) return res.sendStatus(400);
  // ok: user-input-in-system-prompt-js
  res.json(await generateText({ model, system: `Answer in ${language}.`, prompt: "hi" }));
});

app.post("/persona", async (req, res) => {
  // ok: user-input-in-system-prompt-js
  res.json(await generateText({ model, system: PERSONAS[req.body.persona], prompt: "hi" }));
});
