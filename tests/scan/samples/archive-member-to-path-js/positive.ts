import AdmZip from "adm-zip";
import fs from "fs";
import path from "path";
import unzipper from "unzipper";

export function install(skill: Buffer, folder: string) {
  for (const entry of new AdmZip(skill).getEntries()) {
    // ruleid: archive-member-to-path-js
    fs.writeFileSync(path.join(folder, entry.entryName), entry.getData());
  }
}

export function unpack(file: string, folder: string) {
  fs.createReadStream(file)
    .pipe(unzipper.Parse())
    .on("entry", (entry) => {
      const target = path.join(folder, entry.path);
      // ruleid: archive-member-to-path-js
      entry.pipe(fs.createWriteStream(target));
    });
}

export async function unzip(zip: JSZip, folder: string) {
  for (const [name, entry] of Object.entries(zip.files)) {
    // ruleid: archive-member-to-path-js
    await fs.promises.writeFile(path.resolve(folder, name), await entry.async("nodebuffer"));
  }
}
