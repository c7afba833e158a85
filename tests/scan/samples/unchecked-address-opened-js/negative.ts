import { shell, ipcMain } from "electron";
import open from "open";
import fs from "fs";

export class BrowserAuth {
  async redirectToAuthorization(authorizationUrl: URL) {
    // ok: unchecked-address-opened-js
    await open(sanitizeUrl(authorizationUrl.href));
  }
}

export function signIn(address: string) {
  const url = new URL(address);
  if (url.protocol !== "https:") throw new Error("not a web page");
  // ok: unchecked-address-opened-js
  shell.openExternal(url.href);
}

ipcMain.handle("open", async (event, url) => {
  if (!url.startsWith("https://")) return;
  // ok: unchecked-address-opened-js
  await shell.openExternal(url);
});

ipcMain.handle("parsed", async (event, url) => {
  const parsed = new URL(url);
  if (!["http:", "https:"].includes(parsed.protocol)) return;
  // ok: unchecked-address-opened-js
  await shell.openExternal(url);
});

export function help() {
  // ok: unchecked-address-opened-js
  shell.openExternal("https://example.org/help");
}

export function file(name: string) {
  // ok: unchecked-address-opened-js
  return fs.open(name);
}
