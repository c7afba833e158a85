import express from "express";
import OpenAI from "openai";
import axios from "axios";
import { createOpenAI } from "@ai-sdk/openai";

const app = express();
const KEY = process.env.OPENAI_API_KEY;

app.post("/chat", async (req, res) => {
  // ruleid: user-input-to-url-js
  const client = new OpenAI({ apiKey: KEY, baseURL: req.body.baseUrl });
  res.json(await client.models.list());
});

export async function POST(req: Request) {
  const { url } = await req.json();
  // ruleid: user-input-to-url-js
  const page = await fetch(url);
  return new Response(page.body);
}

async function handle(req: NextRequest, { params }: { params: { path: string[] } }) {
  const [protocol, ...subpath] = params.path;
  const target = `${protocol}://${subpath.join("/")}`;
  // ruleid: user-input-to-url-js
  return fetch(target, { method: req.method });
}

app.get("/proxy", async (req, res) => {
  // ruleid: user-input-to-url-js
  res.send((await axios.get("http://" + req.query.host + "/api")).data);
});

export async function own(request: Request) {
  const body = await request.json();
  // ruleid: user-input-to-url-js
  const provider = createOpenAI({ apiKey: KEY, baseURL: `${body.endpoint}/v1` });
  return provider.chat("m");
}

app.post("/hook", async (req, res) => {
  // ruleid: user-input-to-url-js
  await got.post(req.body.hook, { json: { done: true } });
  // ruleid: user-input-to-url-js
  await axios.delete(req.body.hook);
  // ruleid: user-input-to-url-js
  const socket = new WebSocket(req.body.socket);
  res.json({ state: socket.readyState });
});
