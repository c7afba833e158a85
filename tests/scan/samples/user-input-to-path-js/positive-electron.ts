import { ipcMain } from "electron";
import fs from "fs";

// ruleid: user-input-to-path-js
ipcMain.handle("read", async (_event, file) => fs.readFileSync(file, "utf8"));

ipcMain.on("save", (event, { target, text }) => {
  // ruleid: user-input-to-path-js
  fs.writeFileSync(target, text);
});
