// ok: secret-in-log-js
console.log(`Key: ${process.env.OPENAI_API_KEY ? "set" : "missing"}`);

const token = process.env.GITHUB_TOKEN;
if (!token) {
  // ok: secret-in-log-js
  console.error("GITHUB_TOKEN is not set");
}

// ok: secret-in-log-js
console.log("Key is there:", !!process.env.OPENAI_API_KEY);
// ok: secret-in-log-js
console.log("Key:", mask(process.env.OPENAI_API_KEY));
// ok: secret-in-log-js
console.log("Tokens:", process.env.MAX_TOKENS, process.env.TOKEN_LIMIT);

export async function start(logger: Logger) {
  const client = new OpenAI({ apiKey: process.env.OPENAI_API_KEY });
  // ok: secret-in-log-js
  logger.info("models", await client.models.list());
}
