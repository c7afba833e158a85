import AdmZip from "adm-zip";
import fs from "fs";
import path from "path";

export function install(skill: Buffer, folder: string) {
  for (const entry of new AdmZip(skill).getEntries()) {
    const file = path.resolve(folder, entry.entryName);
    if (!file.startsWith(folder + path.sep)) throw new Error(entry.entryName);
    // ok: archive-member-to-path-js
    fs.writeFileSync(file, entry.getData());
  }
}

export function flat(skill: Buffer, folder: string) {
  for (const entry of new AdmZip(skill).getEntries()) {
    // ok: archive-member-to-path-js
    fs.writeFileSync(path.join(folder, path.basename(entry.entryName)), entry.getData());
  }
}

export function list(folder: string) {
  for (const entry of fs.readdirSync(folder, { withFileTypes: true })) {
    // ok: archive-member-to-path-js
    fs.readFileSync(path.join(folder, entry.name));
  }
}
