import OpenAI from "openai";
import vm from "node:vm";
import { generateText } from "ai";

const client = new OpenAI();

export async function calculate(question) {
  const answer = await client.chat.completions.create({ model: "m", messages: [question] });
  const code = answer.choices[0].message.content;
  // ruleid: llm-output-to-exec-js
  return eval(code);
}

export async function build(question) {
  const { text } = await generateText({ model: "m", prompt: question });
  // ruleid: llm-output-to-exec-js
  const run = new Function("input", `return ${text}`);
  return run(question);
}

export class Sandbox {
  async run(question) {
    this.code = (await client.responses.create({ model: "m", input: question })).output_text;
    // ruleid: llm-output-to-exec-js
    return vm.runInNewContext(this.code, {});
  }
}

export const all = (llm, questions) =>
  questions.map(async (question) => {
    const reply = await llm.invoke(question);
    // ruleid: llm-output-to-exec-js
    return globalThis.eval(reply.content);
  });
