import express from "express";
import fs from "fs";
import path from "path";

const app = express();
const DOCUMENTS = path.resolve("documents");

app.get("/documents/:name", (req, res) => {
  // ok: user-input-to-path-js
  res.send(fs.readFileSync(path.join(DOCUMENTS, path.basename(req.params.name))));
});

app.get("/below/:name", (req, res) => {
  const file = path.resolve(DOCUMENTS, req.params.name);
  if (!file.startsWith(DOCUMENTS + path.sep)) return res.sendStatus(404);
  // ok: user-input-to-path-js
  res.send(fs.readFileSync(file));
});

app.get("/page/:number", (req, res) => {
  // ok: user-input-to-path-js
  res.send(fs.readFileSync(`pages/${parseInt(req.params.number, 10)}.txt`));
});

app.get("/inside/:name", (req, res) => {
  const file = path.resolve(DOCUMENTS, req.params.name);
  if (!isWithin(DOCUMENTS, file)) return res.sendStatus(404);
  // ok: user-input-to-path-js
  res.sendFile(req.params.name, { root: DOCUMENTS });
});

app.post("/note", (req, res) => {
  // ok: user-input-to-path-js
  fs.writeFileSync("note.txt", req.body.text);
});
