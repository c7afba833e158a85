import { BrowserWindow } from "electron";

// ok: window-with-node-js
const chat = new BrowserWindow({ width: 800, webPreferences: { preload: "preload.js" } });

// ok: window-with-node-js
const strict = new BrowserWindow({
  webPreferences: { nodeIntegration: false, contextIsolation: true, sandbox: true },
});

// ok: window-with-node-js
const plain = new BrowserWindow({ width: 400 });

// ok: window-with-node-js
const worker = { nodeIntegration: false };
