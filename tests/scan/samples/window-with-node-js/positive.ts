import { BrowserWindow } from "electron";

// ruleid: window-with-node-js
const chat = new BrowserWindow({ width: 800, webPreferences: { nodeIntegration: true } });

// ruleid: window-with-node-js
const open = new BrowserWindow({
  webPreferences: { preload: "preload.js", contextIsolation: false },
});

// ruleid: window-with-node-js
const pages = new BrowserWindow({ webPreferences: { webSecurity: false } });
