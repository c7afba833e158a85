import { streamText } from "ai";

export function Answer({ completion }: { completion: Completion }) {
  const html = completion.choices[0].message.content;
  // ruleid: llm-output-to-html-js
  return <div className="answer" dangerouslySetInnerHTML={{ __html: html }} />;
}

export async function show(box: HTMLElement, question: string) {
  const { textStream } = await streamText({ model: "m", prompt: question });
  for await (const part of textStream) {
    // ruleid: llm-output-to-html-js
    box.innerHTML += part;
  }
}

export async function append(agent: Agent, box: HTMLElement, question: string) {
  const reply = await agent.invoke(question);
  // ruleid: llm-output-to-html-js
  box.insertAdjacentHTML("beforeend", `<p>${reply.content}</p>`);
}
