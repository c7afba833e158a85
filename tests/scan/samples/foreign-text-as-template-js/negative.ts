import ejs from "ejs";
import express from "express";
import Handlebars from "handlebars";
import { generateText } from "ai";

const app = express();
const CARD = "<p><%= text %></p>";
const TEMPLATES = new Map([["a", "{{text}}"]]);

app.post("/card", async (req, res) => {
  const { text } = await generateText({ model, prompt: "Write a card." });
  // ok: foreign-text-as-template-js
  res.send(ejs.render(CARD, { text }));
});

app.post("/prompt", (req, res) => {
  const template = req.body.template;
  if (!ALLOWED.includes(template)) return res.sendStatus(400);
  // ok: foreign-text-as-template-js
  res.send(Handlebars.compile(template)({}));
});

app.post("/plain", (req, res) => {
  // ok: foreign-text-as-template-js
  res.send(Handlebars.compile("{{text}}")({ text: req.body.text }));
});

export function own(template: string) {
  // ok: foreign-text-as-template-js
  return Handlebars.compile(template);
}
