import express from "express";
import _ from "lodash";
import { McpServer } from "@modelcontextprotocol/sdk/server/mcp.js";

const app = express();
const server = new McpServer({ name: "settings", version: "1" });
const SECTIONS = new Set(["a", "b"]);

server.tool("set", shape, async ({ section, name, value }) => {
  if (!SECTIONS.has(section)) throw new Error("unknown section");
  // ok: foreign-key-in-object-js
  settings[section]["name"] = value;
});

server.tool("map", shape, async ({ section, value }) => {
  // ok: foreign-key-in-object-js
  settings.set(section, value);
});

app.post("/settings", (req, res) => {
  // ok: foreign-key-in-object-js
  _.merge(settings, { theme: "dark" });
  // ok: foreign-key-in-object-js
  settings["theme"]["name"] = req.body.theme;
  res.json(settings);
});

server.tool("flat", shape, async ({ name, value }) => {
  if (name === "__proto__") throw new Error("no setting");
  // ok: foreign-key-in-object-js
  settings[name]["value"] = value;
});
