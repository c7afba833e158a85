import fs from "node:fs/promises";
import { readFileSync } from "fs";
import path from "path";
import { generateText } from "ai";

export async function load(question: string) {
  const { text } = await generateText({ model: "m", prompt: question });
  // ruleid: llm-output-to-path-js
  return fs.readFile(text, "utf8");
}

export async function save(model: ChatModel, question: string, data: string) {
  const name = (await model.invoke(question)).content.trim();
  // ruleid: llm-output-to-path-js
  await fs.writeFile(path.join("out", name), data);
  // ruleid: llm-output-to-path-js
  return readFileSync(`out/${name}`);
}
