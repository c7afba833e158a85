import { marked } from "marked";
import MarkdownIt from "markdown-it";
import ReactMarkdown from "react-markdown";
import rehypeRaw from "rehype-raw";

// ruleid: raw-html-in-markdown-js
const markdownIt = new MarkdownIt({ html: true, linkify: true });

export function Answer({ text }: { text: string }) {
  // ruleid: raw-html-in-markdown-js
  return <ReactMarkdown rehypePlugins={[rehypeRaw]}>{text}</ReactMarkdown>;
}

export function Message({ content }: { content: string }) {
  // ruleid: raw-html-in-markdown-js
  return <div dangerouslySetInnerHTML={{ __html: marked.parse(content) }} />;
}

export function append(box: HTMLElement, answer: string) {
  // ruleid: raw-html-in-markdown-js
  box.innerHTML = marked(answer);
}

export function render(box: HTMLElement, answer: string) {
  // ruleid: raw-html-in-markdown-js
  box.innerHTML = markdownIt.render(answer);
}
