import express from "express";
import fs from "fs";
import path from "path";
import { rm } from "node:fs/promises";

const app = express();

app.get("/documents/:name", (req, res) => {
  // ruleid: user-input-to-path-js
  res.send(fs.readFileSync(path.join("documents", req.params.name)));
});

app.delete("/document", async (request, response) => {
  const { name } = request.body;
  const file = path.resolve("documents", name);
  // ruleid: user-input-to-path-js
  await rm(file);
  response.sendStatus(200);
});

export async function GET(req: NextRequest) {
  const file = req.nextUrl.searchParams.get("file");
  // ruleid: user-input-to-path-js
  return new Response(fs.createReadStream(`./uploads/${file}`));
}

app.get("/logo", (req, res) => {
  // ruleid: user-input-to-path-js
  res.sendFile(path.join(__dirname, String(req.query.logo)));
});
