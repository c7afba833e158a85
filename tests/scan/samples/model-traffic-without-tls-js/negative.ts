import OpenAI from "openai";
import { SSEClientTransport } from "@modelcontextprotocol/sdk/client/sse.js";
import { StreamableHTTPClientTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js";

// ok: model-traffic-without-tls-js
const sse = new SSEClientTransport(new URL("https://tools.example.org/sse"));
// ok: model-traffic-without-tls-js
const http = new StreamableHTTPClientTransport(new URL("http://localhost:8000/mcp"));
// ok: model-traffic-without-tls-js
const client = new OpenAI({ apiKey: KEY, baseURL: "http://127.0.0.1:11434/v1" });
// ok: model-traffic-without-tls-js
const inDocker = new OpenAI({ baseURL: "http://ollama:11434/v1" });
// ok: model-traffic-without-tls-js
const inCluster = new OpenAI({ baseURL: "http://vllm.models.svc.cluster.local/v1" });
// ok: model-traffic-without-tls-js
const setting = new OpenAI({ baseURL: process.env.BASE_URL });
