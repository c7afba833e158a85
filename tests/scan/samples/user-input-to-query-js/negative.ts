import express from "express";
import { pool, session } from "./database";

const app = express();
const COLUMNS = ["name", "date"];

app.get("/chats", async (req, res) => {
  // ok: user-input-to-query-js
  res.json(await pool.query("SELECT * FROM chats WHERE owner = $1", [req.query.owner]));
});

app.get("/sorted", async (req, res) => {
  const column = req.query.column;
  if (!COLUMNS.includes(column)) return res.sendStatus(400);
  // ok: user-input-to-query-js
  res.json(await pool.query(`SELECT * FROM chats ORDER BY ${column}`));
});

app.get("/page", async (req, res) => {
  // ok: user-input-to-query-js
  res.json(await pool.query(`SELECT * FROM chats LIMIT ${Number(req.query.limit)}`));
});

app.post("/graph", async (req, res) => {
  // ok: user-input-to-query-js
  res.json(await session.run("MATCH (n {name: $name}) RETURN n", { name: req.body.name }));
});
