import express from "express";
import { pool, prisma, session } from "./database";

const app = express();

app.get("/chats", async (req, res) => {
  // ruleid: user-input-to-query-js
  res.json(await pool.query(`SELECT * FROM chats WHERE owner = '${req.query.owner}'`));
});

export async function POST(req: Request) {
  const body = await req.json();
  const order = "ORDER BY " + body.order;
  // ruleid: user-input-to-query-js
  return Response.json(await prisma.$queryRawUnsafe("SELECT * FROM vectors " + order));
}

app.post("/graph", async (req, res) => {
  // ruleid: user-input-to-query-js
  res.json(await session.run(`MATCH (n:${req.body.label}) RETURN n`));
});

app.post("/find", async (req, res) => {
  // ruleid: user-input-to-query-js
  res.json(await chats.find({ $where: `this.owner == '${req.body.owner}'` }).toArray());
});
