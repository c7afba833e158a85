import { shell } from "electron";
import { generateText, tool } from "ai";
import { z } from "zod";

app.get("/next", async (req, res) => {
  const { text } = await generateText({ model, prompt: "Where to?" });
  // ruleid: llm-output-to-navigation-js
  res.redirect(text);
});

export async function follow(agent: Agent) {
  const reply = await agent.invoke("Which page?");
  // ruleid: llm-output-to-navigation-js
  window.location.href = reply.content;
}

export const openLink = tool({
  inputSchema: z.object({ url: z.string() }),
  execute: async ({ url }) => {
    // ruleid: llm-output-to-navigation-js
    await shell.openExternal(url);
  },
});

export function show(completion: Completion) {
  // ruleid: llm-output-to-navigation-js
  window.open(completion.choices[0].message.content);
}
