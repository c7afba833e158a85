import { shell, ipcMain } from "electron";
import open from "open";

export class BrowserAuth {
  async redirectToAuthorization(authorizationUrl: URL) {
    // ruleid: unchecked-address-opened-js
    await open(authorizationUrl.toString());
  }
}

export function signIn(address: string) {
  // ruleid: unchecked-address-opened-js
  shell.openExternal(address);
}

ipcMain.handle("open", async (event, url) => {
  // ruleid: unchecked-address-opened-js
  await shell.openExternal(url);
});

window.webContents.setWindowOpenHandler(({ url }) => {
  // ruleid: unchecked-address-opened-js
  shell.openExternal(url);
  return { action: "deny" };
});
