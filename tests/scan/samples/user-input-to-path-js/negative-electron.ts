import { ipcMain } from "electron";
import fs from "fs";
import path from "path";

// ok: user-input-to-path-js
ipcMain.handle("read", async (_event, name) => fs.readFileSync(path.join(NOTES, path.basename(name))));
