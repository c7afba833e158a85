import express from "express";
import _ from "lodash";
import { McpServer } from "@modelcontextprotocol/sdk/server/mcp.js";

const app = express();
const server = new McpServer({ name: "settings", version: "1" });

server.tool("set", shape, async ({ section, name, value }) => {
  // ruleid: foreign-key-in-object-js
  settings[section][name] = value;
});

server.tool("path", shape, async ({ path, value }) => {
  // ruleid: foreign-key-in-object-js
  _.set(settings, path, value);
});

app.post("/settings", (req, res) => {
  // ruleid: foreign-key-in-object-js
  _.merge(settings, req.body);
  res.json(settings);
});
