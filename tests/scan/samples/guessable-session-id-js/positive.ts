import { StreamableHTTPServerTransport } from "@modelcontextprotocol/sdk/server/streamableHttp.js";

// ruleid: guessable-session-id-js
const transport = new StreamableHTTPServerTransport({
  sessionIdGenerator: () => Math.random().toString(36).slice(2),
});

export function start() {
  // ruleid: guessable-session-id-js
  const sessionId = `session-${Math.random()}`;
  return sessionId;
}

export class Connection {
  constructor() {
    // ruleid: guessable-session-id-js
    this.sessionId = Math.random().toString(36).substring(7);
  }
}

export function login() {
  // ruleid: guessable-session-id-js
  const access_token = "t-" + Math.random().toString(16);
  return { access_token };
}
