import { JSDOM } from "jsdom";

const HOSTS = new Set(["docs.example.com"]);

async function crawl(html) {
  for (const link of new JSDOM(html).window.document.querySelectorAll("a")) {
    const address = link.href;
    assertPublicUrl(address);
    // ok: page-link-is-followed-js
    await fetch(address, { redirect: "error" });
  }
}

async function known(html) {
  for (const link of new JSDOM(html).window.document.querySelectorAll("a")) {
    const address = link.href;
    if (!HOSTS.has(new URL(address).hostname)) continue;
    // ok: page-link-is-followed-js
    await fetch(address, { redirect: "error" });
  }
}

function titles(html) {
  // ok: page-link-is-followed-js
  return [...new JSDOM(html).window.document.querySelectorAll("h2")].map((title) => fetch("https://docs.example.com/", { body: title.textContent }));
}
