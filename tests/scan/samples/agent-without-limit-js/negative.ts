import Anthropic from "@anthropic-ai/sdk";
import { generateText, stepCountIs } from "ai";
import { run } from "@openai/agents";

const client = new Anthropic();

export async function bounded(prompt: string) {
  // ok: agent-without-limit-js
  return generateText({ model, tools, prompt, stopWhen: stepCountIs(20) });
}

// ok: agent-without-limit-js
await run(agent, "Go", { maxTurns: 10 });

// ok: agent-without-limit-js
await graph.invoke({ messages }, { recursionLimit: 50 });

export async function loop(messages: Message[]) {
  let steps = 0;
  // ok: agent-without-limit-js
  while (true) {
    if (steps++ > 20) throw new Error("too many steps");
    const answer = await client.messages.create({ model: "m", max_tokens: 500, tools, messages });
    if (answer.stop_reason !== "tool_use") return answer;
  }
}

export async function chat(messages: Message[]) {
  // ok: agent-without-limit-js
  while (true) {
    messages.push({ role: "user", content: await rl.question("> ") });
    const answer = await client.messages.create({ model: "m", max_tokens: 500, tools, messages });
    console.log(answer);
  }
}
