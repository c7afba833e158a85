import fs from "node:fs/promises";
import path from "path";
import { generateText } from "ai";

export async function load(question: string) {
  const { text } = await generateText({ model: "m", prompt: question });
  // ok: llm-output-to-path-js
  return fs.readFile(path.join("notes", path.basename(text)), "utf8");
}

export async function save(model: ChatModel, question: string) {
  const reply = await model.invoke(question);
  // ok: llm-output-to-path-js
  await fs.writeFile("answer.txt", reply.content);
}
