import express from "express";
import { exec, execFile, execSync, spawn } from "child_process";
import path from "path";

const app = express();
const MODELS = ["small", "large"];

app.post("/convert", (req, res) => {
  // ok: user-input-to-command-js
  execFile("whisper", ["--", req.body.file], (error, out) => res.send(out));
});

app.get("/model/:name", async (req, res) => {
  const { name } = req.params;
  if (!MODELS.includes(name)) return res.status(404).end();
  // ok: user-input-to-command-js
  res.send(execSync(`ollama show ${name}`).toString());
});

export async function POST(request: Request) {
  const { count } = await request.json();
  // ok: user-input-to-command-js
  return Response.json({ result: execSync(`head -n ${Number(count)} log.txt`).toString() });
}

app.get("/version", (req, res) => {
  // ok: user-input-to-command-js
  exec("ollama --version", (error, out) => res.send(out));
});

app.post("/without-shell", (req, res) => {
  // ok: user-input-to-command-js
  spawn("ls", ["--", req.query.name as string], { shell: false }).stdout.pipe(res);
});
