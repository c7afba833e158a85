import OpenAI from "openai";
import { generateText } from "ai";

const client = new OpenAI();

export async function calculate(question) {
  const answer = await client.chat.completions.create({ model: "m", messages: [question] });
  // ok: llm-output-to-exec-js
  return JSON.parse(answer.choices[0].message.content);
}

export async function choose(question, table) {
  const { text } = await generateText({ model: "m", prompt: question });
  if (!table.has(text)) throw new Error("unknown");
  // ok: llm-output-to-exec-js
  return eval(text);
}

export function fixed(question) {
  // ok: llm-output-to-exec-js
  return eval("1 + 1");
}

export async function prompt(question, code) {
  const result = eval(code);
  // ok: llm-output-to-exec-js
  return client.responses.create({ model: "m", input: `${question} ${result}` });
}
