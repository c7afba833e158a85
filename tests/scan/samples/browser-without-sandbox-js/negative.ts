import puppeteer from "puppeteer";
import { chromium } from "playwright";
import { McpServer } from "@modelcontextprotocol/sdk/server/mcp.js";

const server = new McpServer({ name: "browser", version: "1" });

export async function open() {
  // ok: browser-without-sandbox-js
  return puppeteer.launch({ headless: true });
}

export async function other() {
  // ok: browser-without-sandbox-js
  return chromium.launch({ args: ["--disable-gpu"], chromiumSandbox: true });
}

export async function profile(folder: string) {
  // ok: browser-without-sandbox-js
  return chromium.launchPersistentContext(folder, { headless: false });
}

export async function connect() {
  // ok: browser-without-sandbox-js
  return puppeteer.connect({ browserWSEndpoint: ENDPOINT });
}
