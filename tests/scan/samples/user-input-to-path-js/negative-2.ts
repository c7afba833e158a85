import path from "path";

export default defineEventHandler(async (event) => {
  const body = await readBody(event);
  // ok: user-input-to-path-js
  await page.screenshot({ fullPage: body.full, path: "page.png" });
  // ok: user-input-to-path-js
  await page.pdf({ path: path.join(FOLDER, path.basename(body.name)) });
  // ok: user-input-to-path-js
  await client.request({ method: "GET", path: body.path });
});
