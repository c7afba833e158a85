import cors from "cors";
import express from "express";
import { generateText } from "ai";

const app = express();
const other = express();

// ruleid: any-origin-may-call-js
app.use(cors());
// ruleid: any-origin-may-call-js
other.use(cors({ origin: "*", methods: ["POST"] }));

app.post("/chat", async (req, res) => {
  // ruleid: any-origin-may-call-js
  res.setHeader("Access-Control-Allow-Origin", "*");
  res.json(await generateText({ model, prompt: req.body.question }));
});

export function OPTIONS(req, res) {
  // ruleid: any-origin-may-call-js
  res.header("Access-Control-Allow-Origin", "*");
  res.end();
}
