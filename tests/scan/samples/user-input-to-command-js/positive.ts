import express from "express";
import { exec, execSync, spawn } from "child_process";
import { execa } from "execa";
import vm from "vm";

const app = express();

app.post("/convert", (req, res) => {
  // ruleid: user-input-to-command-js
  exec(`whisper ${req.body.file}`, (error, out) => res.send(out));
});

app.get("/model/:name", async (req, res) => {
  const { name } = req.params;
  const command = "ollama show " + name;
  // ruleid: user-input-to-command-js
  res.send(execSync(command).toString());
});

export async function POST(request: Request) {
  const { code } = await request.json();
  // ruleid: user-input-to-command-js
  return Response.json({ result: vm.runInNewContext(code, {}) });
}

app.post("/stdio", (req, res) => {
  // ruleid: user-input-to-command-js
  const child = spawn(req.query.command as string, req.query.args as string[]);
  child.stdout.pipe(res);
});

app.post("/in-bash", (req, res) => {
  // ruleid: user-input-to-command-js
  spawn("ls", [req.query.name as string], { shell: "/bin/bash" }).stdout.pipe(res);
});

app.post("/in-any-shell", async (req, res) => {
  // ruleid: user-input-to-command-js
  res.send((await execa("ls", [req.body.name], { shell: true })).stdout);
});
