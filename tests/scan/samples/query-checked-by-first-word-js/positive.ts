import { Pool } from "pg";
import { dbAll } from "../db/index.js";

const pool = new Pool();

export async function readQuery(query: string) {
  if (!query.trim().toLowerCase().startsWith("select")) {
    throw new Error("Only SELECT queries are allowed");
  }
  // ruleid: query-checked-by-first-word-js
  return await dbAll(query);
}

export async function run(sql: string) {
  const upper = sql.trim().toUpperCase();
  if (!upper.startsWith("SELECT") && !upper.startsWith("SHOW")) {
    return { error: "read only" };
  }
  // ruleid: query-checked-by-first-word-js
  const { rows } = await pool.query(sql);
  return rows;
}

export async function explain(sql: string) {
  if (!sql.startsWith("EXPLAIN")) throw new Error("only EXPLAIN");
  // ruleid: query-checked-by-first-word-js
  return pool.query(sql);
}
