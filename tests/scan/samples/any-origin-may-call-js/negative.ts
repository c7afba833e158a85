import cors from "cors";
import express from "express";
import { generateText } from "ai";

const app = express();

// ok: any-origin-may-call-js
app.use(cors({ origin: "https://app.example.org" }));
// ok: any-origin-may-call-js
app.use(cors({ origin: ORIGINS }));

app.post("/chat", async (req, res) => {
  // ok: any-origin-may-call-js
  res.setHeader("Access-Control-Allow-Origin", "https://app.example.org");
  // ok: any-origin-may-call-js
  res.setHeader("Access-Control-Allow-Methods", "*");
  res.json(await generateText({ model, prompt: req.body.question }));
});
