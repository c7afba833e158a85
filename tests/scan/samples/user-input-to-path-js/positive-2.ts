export default defineEventHandler(async (event) => {
  const body = await readBody(event);
  // ruleid: user-input-to-path-js
  await page.screenshot({ fullPage: true, path: body.path });
});

export function register(app, tools) {
  app.post("/trace/stop", async (req, res) => {
    const body = readJsonBody(req);
    const file = body.path.trim() || "/tmp/trace.zip";
    // ruleid: user-input-to-path-js
    await tools.traceStopViaPlaywright({ target: body.target, path: file });
    // ruleid: user-input-to-path-js
    await page.setInputFiles("#file", body.files);
  });
}
