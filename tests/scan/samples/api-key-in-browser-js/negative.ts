import OpenAI from "openai";

// ok: api-key-in-browser-js
const client = new OpenAI({ apiKey: process.env.OPENAI_API_KEY });

// ok: api-key-in-browser-js
const off = new OpenAI({ dangerouslyAllowBrowser: false });

// ok: api-key-in-browser-js
const setting = new OpenAI({ dangerouslyAllowBrowser: options.browser });

// ok: api-key-in-browser-js
const url = process.env.NEXT_PUBLIC_OPENAI_BASE_URL;

// ok: api-key-in-browser-js
const map = import.meta.env.VITE_MAP_KEY;
