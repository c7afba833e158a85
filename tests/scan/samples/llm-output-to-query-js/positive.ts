import OpenAI from "openai";
import { Pool } from "pg";
import { generateText } from "ai";

const client = new OpenAI();
const pool = new Pool();

export async function ask(question: string) {
  const answer = await client.responses.create({ model: "m", input: question });
  // ruleid: llm-output-to-query-js
  return pool.query(answer.output_text);
}

export async function search(prisma: PrismaClient, question: string) {
  const { text } = await generateText({ model: "m", prompt: question });
  // ruleid: llm-output-to-query-js
  return prisma.$queryRawUnsafe(`SELECT * FROM items WHERE ${text}`);
}
