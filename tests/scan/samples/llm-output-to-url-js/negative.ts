import { generateText } from "ai";
import OpenAI from "openai";

const client = new OpenAI();
const HOSTS = new Set(["example.org"]);

export async function open(question: string) {
  const answer = await client.responses.create({ model: "m", input: question });
  const url = new URL(answer.output_text);
  if (!HOSTS.has(url.hostname)) throw new Error("unknown host");
  // ok: llm-output-to-url-js
  return fetch(url);
}

export async function send(question: string) {
  const answer = await client.responses.create({ model: "m", input: question });
  // ok: llm-output-to-url-js
  return fetch("https://example.org/log", { method: "POST", body: answer.output_text });
}

export async function search(question: string) {
  const answer = await client.responses.create({ model: "m", input: question });
  // ok: llm-output-to-url-js
  return fetch(`https://example.org/?q=${encodeURIComponent(answer.output_text)}`);
}
