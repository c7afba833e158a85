import OpenAI from "openai";

// ok: hard-coded-api-key-js
const client = new OpenAI({ apiKey: process.env.OPENAI_API_KEY });

// ok: hard-coded-api-key-js
const local = new OpenAI({ apiKey: "ollama", baseURL: "http://localhost:11434/v1" });

// ok: hard-coded-api-key-js
const example = new OpenAI({ apiKey: "sk-your-api-key-goes-here-please" });

// ok: hard-coded-api-key-js
const placeholder = new OpenAI({ apiKey: "sk-xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx" });

// ok: hard-coded-api-key-js
const keyPrefix = "sk-proj-";
