import DOMPurify from "dompurify";
import { streamText } from "ai";

export function Answer({ completion }: { completion: Completion }) {
  const html = DOMPurify.sanitize(completion.choices[0].message.content);
  // ok: llm-output-to-html-js
  return <div className="answer" dangerouslySetInnerHTML={{ __html: html }} />;
}

export function Escaped({ completion }: { completion: Completion }) {
  // ok: llm-output-to-html-js
  return <div>{completion.choices[0].message.content}</div>;
}

export async function show(box: HTMLElement, question: string) {
  const { textStream } = await streamText({ model: "m", prompt: question });
  for await (const part of textStream) {
    // ok: llm-output-to-html-js
    box.textContent += part;
  }
  // ok: llm-output-to-html-js
  box.innerHTML = "<p>done</p>";
}
