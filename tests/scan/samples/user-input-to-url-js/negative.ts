import express from "express";
import OpenAI from "openai";
import axios from "axios";

const app = express();
const HOSTS = new Set(["example.org"]);
const BASE = process.env.BACKEND;

app.post("/chat", async (req, res) => {
  // ok: user-input-to-url-js
  const client = new OpenAI({ apiKey: process.env.KEY, baseURL: process.env.BASE_URL });
  res.json(await client.models.retrieve(req.body.model));
});

export async function POST(req: Request) {
  const { url } = await req.json();
  if (!HOSTS.has(new URL(url).hostname)) return new Response(null, { status: 400 });
  // ok: user-input-to-url-js
  return fetch(url);
}

app.get("/user/:id", async (req, res) => {
  // ok: user-input-to-url-js
  res.send((await axios.get(`https://api.example.org/users/${req.params.id}`)).data);
});

app.get("/item/:id", async (req, res) => {
  // ok: user-input-to-url-js
  res.send((await axios.get(`${BASE}/items/${req.params.id}`)).data);
});

app.post("/forward", async (req, res) => {
  // ok: user-input-to-url-js
  res.json(await fetch("https://api.example.org/v1", { method: "POST", body: req.body }));
});

app.post("/told", async (req, res) => {
  // ok: user-input-to-url-js
  await got.post("https://hooks.example.com/done", { json: { url: req.body.url } });
  res.end();
});
