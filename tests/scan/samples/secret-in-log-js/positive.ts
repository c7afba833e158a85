// ruleid: secret-in-log-js
console.log(`Using key ${process.env.OPENAI_API_KEY}`);

const token = process.env.GITHUB_TOKEN || "";
if (!token.startsWith("ghp_")) {
  // ruleid: secret-in-log-js
  console.error("Not a token:", token);
}

export function start(logger: Logger) {
  const options = { url: process.env.URL, apiKey: process.env["ANTHROPIC_API_KEY"] };
  // ruleid: secret-in-log-js
  logger.debug("options", options);
}
