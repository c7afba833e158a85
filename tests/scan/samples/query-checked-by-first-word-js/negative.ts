import { Pool } from "pg";

const pool = new Pool();

export async function read(sql: string) {
  const client = await pool.connect();
  if (!sql.toUpperCase().startsWith("SELECT")) throw new Error("only SELECT");
  await client.query("BEGIN TRANSACTION READ ONLY");
  // ok: query-checked-by-first-word-js
  return await client.query(sql);
}

export async function rows(sql: string) {
  // ok: query-checked-by-first-word-js
  const result = await pool.query(sql);
  if (sql.toUpperCase().startsWith("SELECT")) return result.rows;
  return result.rowCount;
}

export async function page(url: string) {
  if (!url.startsWith("https://")) throw new Error("no");
  // ok: query-checked-by-first-word-js
  return await browser.get(url);
}

export async function fixed(name: string) {
  if (!name.startsWith("select_")) throw new Error("no");
  // ok: query-checked-by-first-word-js
  return await pool.query("SELECT * FROM pages WHERE name = $1", [name]);
}
