const path = require("path");
const fs = require("fs");

class LocalFileStore {
  getFullPath(key) {
    const file = path.resolve(this.rootPath, key);
    if (!file.startsWith(this.rootPath + path.sep)) {
      throw new Error(key);
    }
    // ok: function-argument-below-folder-js
    return file;
  }

  async write(fileName, text) {
    // ok: function-argument-below-folder-js
    await fs.promises.writeFile(path.join(this.rootPath, path.basename(fileName)), text);
  }
}

function readUpload(fileId) {
  if (!isValidFileId(fileId)) {
    throw new Error(fileId);
  }
  // ok: function-argument-below-folder-js
  return fs.readFileSync(path.join(UPLOAD_DIR, fileId));
}

function settings(fileId) {
  // ok: function-argument-below-folder-js
  return fs.readFileSync(path.join(UPLOAD_DIR, "settings.json"));
}

function save(outputFolder, fileName, text) {
  // ok: function-argument-below-folder-js
  fs.writeFileSync(path.join(outputFolder, fileName), text);
}
