import Anthropic from "@anthropic-ai/sdk";
import { generateText, stepCountIs } from "ai";
import { run } from "@openai/agents";

const client = new Anthropic();

export async function endless(prompt: string) {
  // ruleid: agent-without-limit-js
  return generateText({ model, tools, prompt, stopWhen: () => false });
}

// ruleid: agent-without-limit-js
await run(agent, "Go", { maxTurns: Infinity });

// ruleid: agent-without-limit-js
await graph.invoke({ messages }, { recursionLimit: 10000 });

export async function loop(messages: Message[]) {
  // ruleid: agent-without-limit-js
  while (true) {
    const answer = await client.messages.create({ model: "m", max_tokens: 500, tools, messages });
    if (answer.stop_reason !== "tool_use") return answer;
    messages.push({ role: "user", content: await results(answer) });
  }
}

export const options = {
  // ruleid: agent-without-limit-js
  stopWhen: stepCountIs(5000),
};
