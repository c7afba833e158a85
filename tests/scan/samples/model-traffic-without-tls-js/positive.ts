import OpenAI from "openai";
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { SSEClientTransport } from "@modelcontextprotocol/sdk/client/sse.js";
import { StreamableHTTPClientTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js";

// ruleid: model-traffic-without-tls-js
const sse = new SSEClientTransport(new URL("http://tools.example.org/sse"));
// ruleid: model-traffic-without-tls-js
const http = new StreamableHTTPClientTransport(new URL("http://203.0.113.7:8000/mcp"), {});
// ruleid: model-traffic-without-tls-js
const client = new OpenAI({ apiKey: KEY, baseURL: "http://llm.example.org/v1" });
// ruleid: model-traffic-without-tls-js
const provider = createOpenAICompatible({ name: "own", baseURL: "http://llm.example.org:8080/v1" });
