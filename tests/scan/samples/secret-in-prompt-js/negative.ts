import OpenAI from "openai";
import { generateText } from "ai";

const client = new OpenAI({ apiKey: process.env.OPENAI_API_KEY });

export async function ask(question: string) {
  return generateText({
    model,
    // ok: secret-in-prompt-js
    system: `You work for ${process.env.COMPANY_NAME}.`,
    prompt: question,
  });
}

export async function chat() {
  return client.chat.completions.create({
    model: "m",
    // ok: secret-in-prompt-js
    messages: [{ role: "user", content: "Hello" }],
  });
}

export async function withResult(llm: Model) {
  const rows = await query("SELECT 1", process.env.DB_PASSWORD);
  // ok: secret-in-prompt-js
  return llm.invoke(`Explain ${rows}`);
}

export async function length(llm: Model) {
  // ok: secret-in-prompt-js
  return llm.invoke(`A key is there: ${Boolean(process.env.SERVICE_API_KEY)}`);
}
