import axios from "axios";
import OpenAI from "openai";

const client = new OpenAI();

export async function open(question: string) {
  const answer = await client.responses.create({ model: "m", input: question });
  // ruleid: llm-output-to-url-js
  const page = await fetch(answer.output_text);
  return page.text();
}

export async function all(completion: Completion) {
  for (const call of completion.choices[0].message.tool_calls ?? []) {
    const { url } = JSON.parse(call.function.arguments);
    // ruleid: llm-output-to-url-js
    await axios.get(url);
  }
}
