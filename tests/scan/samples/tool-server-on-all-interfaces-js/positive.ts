import express from "express";
import { randomUUID } from "node:crypto";
import { StreamableHTTPServerTransport } from "@modelcontextprotocol/sdk/server/streamableHttp.js";

const app = express();
const transport = new StreamableHTTPServerTransport({ sessionIdGenerator: randomUUID });

// ruleid: tool-server-on-all-interfaces-js
app.listen(3000, "0.0.0.0");

// ruleid: tool-server-on-all-interfaces-js
app.listen(3001, "0.0.0.0", () => console.log("listening"));

// ruleid: tool-server-on-all-interfaces-js
app.listen(PORT);

// ruleid: tool-server-on-all-interfaces-js
app.listen(process.env.PORT, () => {
  console.log("listening");
});
