import OpenAI from "openai";
import Anthropic from "@anthropic-ai/sdk";
import { createOpenAI } from "@ai-sdk/openai";

// ruleid: api-key-in-browser-js
const client = new OpenAI({ apiKey: settings.key, dangerouslyAllowBrowser: true });

// ruleid: api-key-in-browser-js
const claude = new Anthropic({ apiKey: import.meta.env.VITE_ANTHROPIC_API_KEY });

// ruleid: api-key-in-browser-js
const provider = createOpenAI({ apiKey: process.env.NEXT_PUBLIC_OPENAI_API_KEY });

export function key() {
  // ruleid: api-key-in-browser-js
  return process.env["REACT_APP_GEMINI_API_KEY"];
}
