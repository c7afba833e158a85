export async function loadPage(url: string) {
  await assertPublicUrl(url);
  // ok: function-argument-to-url-js
  const response = await fetch(url, { redirect: "error" });
  return await response.text();
}

export async function fetchDocument(url: string) {
  const parsed = new URL(url);
  if (!HOSTS.has(parsed.hostname)) throw new Error("no");
  // ok: function-argument-to-url-js
  return await fetch(url);
}

export async function fetchPage(page: string) {
  // ok: function-argument-to-url-js
  return await fetch(`https://docs.example.com/${page}`);
}

export async function send(url: string, body: string) {
  // ok: function-argument-to-url-js
  return await fetch(url, { method: "POST", body });
}
