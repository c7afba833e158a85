import { shell } from "electron";
import { generateText, tool } from "ai";
import { z } from "zod";

const PAGES = new Set(["/a", "/b"]);

app.get("/next", async (req, res) => {
  const { text } = await generateText({ model, prompt: "Where to?" });
  if (!PAGES.has(text)) throw new Error("unknown page");
  // ok: llm-output-to-navigation-js
  res.redirect(text);
});

app.get("/search", async (req, res) => {
  const { text } = await generateText({ model, prompt: "What?" });
  // ok: llm-output-to-navigation-js
  res.redirect("https://example.org/search?q=" + encodeURIComponent(text));
});

export const openLink = tool({
  inputSchema: z.object({ url: z.string() }),
  execute: async ({ url }) => {
    if (!isAllowedUrl(url)) return "refused";
    // ok: llm-output-to-navigation-js
    await shell.openExternal(url);
  },
});

app.get("/done", async (req, res) => {
  await generateText({ model, prompt: "Go" });
  // ok: llm-output-to-navigation-js
  res.redirect("/done");
});
