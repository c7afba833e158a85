import OpenAI from "openai";
import { Pool } from "pg";

const client = new OpenAI();
const pool = new Pool();

export async function ask(question: string) {
  const answer = await client.responses.create({ model: "m", input: question });
  // ok: llm-output-to-query-js
  return pool.query("SELECT * FROM items WHERE name = $1", [answer.output_text]);
}

export async function remember(store: VectorStore, question: string) {
  const answer = await client.responses.create({ model: "m", input: question });
  // ok: llm-output-to-query-js
  return store.query(answer.output_text);
}
