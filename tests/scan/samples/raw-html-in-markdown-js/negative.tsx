import DOMPurify from "dompurify";
import { marked } from "marked";
import ReactMarkdown from "react-markdown";
import rehypeRaw from "rehype-raw";
import rehypeSanitize from "rehype-sanitize";
import rehypeHighlight from "rehype-highlight";

export function Answer({ text }: { text: string }) {
  // ok: raw-html-in-markdown-js
  return <ReactMarkdown rehypePlugins={[rehypeRaw, rehypeSanitize]}>{text}</ReactMarkdown>;
}

// ok: raw-html-in-markdown-js
const markdownIt = new MarkdownIt({ linkify: true });

export function Plain({ text }: { text: string }) {
  // ok: raw-html-in-markdown-js
  return <ReactMarkdown rehypePlugins={[rehypeHighlight]}>{text}</ReactMarkdown>;
}

export function Message({ content }: { content: string }) {
  // ok: raw-html-in-markdown-js
  return <div dangerouslySetInnerHTML={{ __html: DOMPurify.sanitize(marked.parse(content)) }} />;
}

export function append(box: HTMLElement, answer: string) {
  // ok: raw-html-in-markdown-js
  box.textContent = marked(answer);
}
