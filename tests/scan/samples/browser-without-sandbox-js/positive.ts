import puppeteer from "puppeteer";
import { chromium } from "playwright";
import { McpServer } from "@modelcontextprotocol/sdk/server/mcp.js";

const server = new McpServer({ name: "browser", version: "1" });

export async function open() {
  // ruleid: browser-without-sandbox-js
  return puppeteer.launch({ headless: true, args: ["--no-sandbox", "--disable-setuid-sandbox"] });
}

export async function other() {
  // ruleid: browser-without-sandbox-js
  const browser = await chromium.launch({ args: ["--disable-web-security"], headless: true });
  return browser.newPage();
}

export async function profile(folder: string) {
  // ruleid: browser-without-sandbox-js
  return chromium.launchPersistentContext(folder, { args: ["--no-sandbox"] });
}
