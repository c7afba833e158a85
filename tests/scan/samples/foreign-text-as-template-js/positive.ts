import ejs from "ejs";
import express from "express";
import Handlebars from "handlebars";
import nunjucks from "nunjucks";
import { generateText } from "ai";

const app = express();

app.post("/card", async (req, res) => {
  const { text } = await generateText({ model, prompt: "Write a card." });
  // ruleid: foreign-text-as-template-js
  res.send(ejs.render(text, { user }));
});

app.post("/prompt", (req, res) => {
  // ruleid: foreign-text-as-template-js
  const prompt = nunjucks.renderString(req.body.template, { tools });
  res.json({ prompt });
});

export async function POST(request: Request) {
  const { template, values } = await request.json();
  // ruleid: foreign-text-as-template-js
  return new Response(Handlebars.compile(template)(values));
}
