import express from "express";
import { randomUUID } from "node:crypto";
import { StreamableHTTPServerTransport } from "@modelcontextprotocol/sdk/server/streamableHttp.js";

const app = express();
const transport = new StreamableHTTPServerTransport({ sessionIdGenerator: randomUUID });

// ok: tool-server-on-all-interfaces-js
app.listen(3000, "127.0.0.1");

// ok: tool-server-on-all-interfaces-js
app.listen(3001, "localhost", () => console.log("listening"));

// ok: tool-server-on-all-interfaces-js
app.listen(PORT, HOST);

// ok: tool-server-on-all-interfaces-js
app.listen({ port: 3000, host: "127.0.0.1" });
