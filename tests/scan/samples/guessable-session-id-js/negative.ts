import { randomUUID } from "node:crypto";
import { StreamableHTTPServerTransport } from "@modelcontextprotocol/sdk/server/streamableHttp.js";

// ok: guessable-session-id-js
const transport = new StreamableHTTPServerTransport({ sessionIdGenerator: () => randomUUID() });

// ok: guessable-session-id-js
const stateless = new StreamableHTTPServerTransport({ sessionIdGenerator: undefined });

export function start() {
  // ok: guessable-session-id-js
  const sessionId = crypto.randomUUID();
  // ok: guessable-session-id-js
  const delay = Math.random() * 100;
  // ok: guessable-session-id-js
  const messageId = `message-${Date.now()}`;
  // ok: guessable-session-id-js
  const searchSessionId = `search-${Date.now()}`;
  return { sessionId, delay, messageId, searchSessionId };
}

export function later(token: string) {
  // ok: guessable-session-id-js
  const expires = Date.now() + 1000;
  return { token, expires };
}
