import OpenAI from "openai";
import { generateText } from "ai";

const password = process.env.DB_PASSWORD;

export async function ask(question: string) {
  return generateText({
    model,
    // ruleid: secret-in-prompt-js
    system: `Log in with ${password}.`,
    prompt: question,
  });
}

export async function chat() {
  return new OpenAI().chat.completions.create({
    model: "m",
    messages: [
      // ruleid: secret-in-prompt-js
      { role: "user", content: "Use the token " + process.env["GITHUB_TOKEN"] },
    ],
  });
}

export async function chain(llm: Model) {
  // ruleid: secret-in-prompt-js
  return llm.invoke("Call the API with KEY".replace("KEY", process.env.SERVICE_API_KEY));
}
